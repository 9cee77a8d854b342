"""Results as one HTML file that needs nothing else: scores with intervals as pictures, answers right and wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

import swift
from swift.evaluation.intervals import Estimate
from swift.evaluation.metric import Metric
from swift.evaluation.report import cells
from swift.evaluation.result import REPORT, Line, Result
from swift.evaluation.task import Task

_SHOWN, _LONGEST = 12, 1500
_LEFT, _WIDTH, _STEP = 190, 720, 26
"""Of a picture, in SVG units: where bars begin, its width, the height of a row."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a picture.

    Attributes:
        title: What it is of.
        text: The value in words.
        y: Where it stands.
        width: Of the bar.
        low: Left end of the interval's line; None where there is no interval.
        high: Right end.
    """

    title: str
    text: str
    y: int
    width: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer in the report."""

    id: str
    reference: str
    said: str
    scores: str


@dataclass(frozen=True, slots=True)
class Part:
    """A set in the report."""

    result: Result
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Bar, ...]
    right: tuple[Shown, ...]
    wrong: tuple[Shown, ...]
    counts: tuple[int, int]


def write_page(tasks: Sequence[Task], results: Sequence[Result], lines: Sequence[Sequence[Line]], folder: Path) -> None:
    """Write `report.html`.

    Args:
        tasks: The sets.
        results: Of each.
        lines: The answers of each, with their scores.
        folder: Where it goes.
    """
    parts = [_part(task.metric, result, some) for task, result, some in zip(tasks, results, lines, strict=True)]
    overview = bars([(result.name, _first(task, result)) for task, result in zip(tasks, results, strict=True)])
    text = rendered("report.html.j2", parts=parts, overview=overview, model=results[0].facts.get("model", ""))
    (folder / REPORT).write_text(text, encoding="utf-8")


def _first(task: Task, result: Result) -> Estimate:
    return result.scores[next(iter(task.metric.measures))]


def rendered(template: str, **values: Any) -> str:
    """A page. All text is escaped; no script runs and nothing is fetched."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    here = files("swift.evaluation")
    style = here.joinpath("report.css").read_text(encoding="utf-8")
    source = here.joinpath(template).read_text(encoding="utf-8")
    values = {"version": swift.__version__, "style": style, "left": _LEFT, "width": _WIDTH, "step": _STEP, **values}
    return environment.from_string(source).render(**values)


def bars(estimates: Sequence[tuple[str, Estimate]]) -> tuple[Bar, ...]:
    """The rows of a picture of percents."""
    scale = (_WIDTH - _LEFT - 150) / 100

    def place(value: float | None) -> float | None:
        return None if value is None else round(_LEFT + scale * value, 1)

    return tuple(
        Bar(
            title, " ".join(part for part in cells(found)[:2] if part), number * _STEP + 4,
            round(scale * (found.value or 0.0), 1), place(found.low), place(found.high),
        )
        for number, (title, found) in enumerate(estimates)
    )  # fmt: skip


def _part(metric: Metric, result: Result, lines: Sequence[Line]) -> Part:
    name, measure = next(iter(metric.measures.items()))
    right: list[Line] = []
    wrong: list[Line] = []
    for line in lines:
        value = measure.of(line["scores"]) if "scores" in line else None
        if measure.pooled is None:
            (right if value is not None and float(value) >= 1 else wrong).append(line)
    groups = [(group, scores[name]) for group, scores in result.groups.items()]
    rows = tuple((one.title, *cells(result.scores[key])) for key, one in metric.measures.items())
    return Part(result, rows, bars(groups), _shown(right), _shown(wrong), (len(right), len(wrong)))


def _shown(lines: Sequence[Line]) -> tuple[Shown, ...]:
    return tuple(
        Shown(line["id"], _text(line["reference"]), _said(line), _text(line.get("scores", {})))
        for line in lines[:_SHOWN]
    )


def _said(line: Line) -> str:
    return _text(line.get("error") or line.get("response") or line.get("prediction", ""))


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("content"), str) and value["content"]:
        value = value["content"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
