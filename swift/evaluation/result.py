"""What scores of a set add up to, and the files in which that stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from swift.errors import DataError
from swift.evaluation.intervals import Estimate, estimate, pooled
from swift.evaluation.metric import Measure, Metric

PREDICTIONS, SAMPLES, SUMMARY, REPORT = "predictions.jsonl", "samples.jsonl", "summary.json", "report.html"
"""Every answer that was ever made; those of the last evaluation, with all scores; what they add up to; for people."""

Line = Mapping[str, Any]
"""One object of the file of predictions; `scores` is what estimates are made of."""


@dataclass(frozen=True, slots=True)
class Values:
    """A measure's values of answers, each with what identifies it.

    Attributes:
        ids: What each value is of.
        values: From 0 to 1; or tuples of counts, where the measure pools them.
        clusters: Those of one cluster are not independent.
    """

    ids: tuple[str, ...]
    values: tuple[Any, ...]
    clusters: tuple[str, ...]

    def of(self, measure: Measure) -> Estimate:
        """The estimate that they make."""
        if measure.pooled is not None:
            return pooled(self.values, self.clusters, measure.pooled)
        return estimate([float(value) for value in self.values], self.clusters)


@dataclass(frozen=True, slots=True)
class Result:
    """How good a model is at one set.

    Attributes:
        name: Of the set.
        metric: Name of the metric.
        scores: Estimates by the measure's name.
        groups: The same for each part of the set, where it has parts.
        failed: Answers that could not be had.
        skipped: What was left out, by reason.
        facts: What else is to be known: revision, prompt, engine, times.
    """

    name: str
    metric: str
    scores: Mapping[str, Estimate]
    groups: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    failed: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def values_of(lines: Sequence[Line], measure: Measure) -> Values:
    """A measure's values of the lines of a set; all answers to one question are one, where the measure says so."""
    found: dict[str, list[Any]] = {}
    clusters: dict[str, str] = {}
    for line in lines:
        if "scores" not in line:
            continue
        value = measure.of(line["scores"])
        if value is None:
            continue
        name = line["id"] if measure.combine is not None else f"{line['id']}#{line.get('sample', 0)}"
        found.setdefault(name, []).append(value)
        clusters[name] = line["cluster"]
    if measure.combine is None:
        return Values(tuple(found), tuple(values[0] for values in found.values()), tuple(clusters.values()))
    combined = {name: measure.combine(values) for name, values in found.items()}
    known = {name: value for name, value in combined.items() if value is not None}
    return Values(tuple(known), tuple(known.values()), tuple(clusters[name] for name in known))


def estimates(lines: Sequence[Line], metric: Metric) -> dict[str, Estimate]:
    """Every measure of a metric."""
    return {name: values_of(lines, measure).of(measure) for name, measure in metric.measures.items()}


def summed(
    name: str, metric_name: str, metric: Metric, lines: Sequence[Line], skipped: Mapping[str, int], facts: Line
) -> Result:
    """The result of a set from the lines of its predictions."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        if "group" in line:
            groups.setdefault(line["group"], []).append(line)
    return Result(
        name,
        metric_name,
        estimates(lines, metric),
        {group: estimates(some, metric) for group, some in sorted(groups.items())} if len(groups) > 1 else {},
        sum("error" in line for line in lines),
        skipped,
        facts,
    )


def write_result(result: Result, lines: Sequence[Line], folder: Path) -> None:
    """Write `samples.jsonl` and `summary.json`."""
    (folder / SAMPLES).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    (folder / SUMMARY).write_bytes(orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2))


def read_summary(folder: Path) -> Result:
    """Read it again.

    Raises:
        DataError: There is none, or it is of another form.
    """
    path = folder / SUMMARY
    try:
        values = orjson.loads(path.read_bytes())
        groups = {name: _estimates(scores) for name, scores in values["groups"].items()}
        return Result(**{**values, "scores": _estimates(values["scores"]), "groups": groups})
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="name the output folder of a finished evaluation") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no summary of `swift eval`", hint="evaluate again, into another folder") from error


def set_folders(folder: Path) -> list[Path]:
    """The folders of the sets of an evaluation: its own, or one for each benchmark.

    Raises:
        DataError: It is of no finished evaluation.
    """
    found = [folder] if (folder / SUMMARY).is_file() else sorted(path.parent for path in folder.glob(f"*/{SUMMARY}"))
    if not found:
        what = "holds no summary.json" if folder.is_dir() else "is no folder"
        raise DataError(f"{folder} {what}", hint="name the --output_dir of a finished `swift eval`")
    return found


def _estimates(values: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(**value) for name, value in values.items()}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of predictions.

    Raises:
        DataError: It cannot be read, or a line of it is damaged.
    """
    try:
        found = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="name the output folder of a finished evaluation") from error
    except ValueError as error:
        raise DataError(f"{path} has a line that is no JSON", hint="evaluate again, into another folder") from error
    wrong = next((number for number, line in enumerate(found, 1) if not isinstance(line, dict)), None)
    if wrong is not None:
        raise DataError(f"line {wrong} of {path} is no object", hint="evaluate again, into another folder")
    return found
