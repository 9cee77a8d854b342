"""`swift infer --metric`: the answers of a result file against the rows' own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from swift.config.runs import InferMetric
from swift.errors import DataError
from swift.inference.overlap import bleu, is_same, require_bleu, rouge_l, rouge_n

_BESIDE = ".metrics.json"
_ONLY = ""
"""Who has answered, where the file does not say."""

Pairs = list[tuple[str, str]]
"""(answer, expected answer) of each row."""


def check_metrics(metrics: Sequence[InferMetric]) -> None:
    """Refuse, before answers are made, what cannot be computed afterwards.

    Raises:
        MissingExtraError: A library is not installed.
    """
    if "bleu" in metrics:
        require_bleu()


def report_metrics(path: Path, metrics: Sequence[InferMetric]) -> None:
    """Compare a finished result file with the rows' own answers; on standard error, and in a file beside it.

    A row without an answer of its own does not count. One that could not be answered counts as an empty answer, so
    that failing does not raise a score.

    Args:
        path: The result file.
        metrics: Which ones.

    Raises:
        DataError: No row has an answer of its own, or the file holds numbers in place of answers.
    """
    pairs, total = _pairs(path)
    if not pairs:
        raise DataError(
            f"no row of {path} has a label to compare with",
            hint="rows need an answer of the assistant in the end, or leave --metric out",
        )
    report = {name: {"rows": len(found), **_scores(found, metrics)} for name, found in pairs.items()}
    beside = path.with_name(path.name + _BESIDE)
    beside.write_bytes(orjson.dumps(report.get(_ONLY, report), option=orjson.OPT_INDENT_2) + b"\n")
    for name, scores in report.items():
        shown = ", ".join(f"{metric} {value:.2f}" for metric, value in scores.items() if metric != "rows")
        left = total - int(scores["rows"])
        without = f", {left} rows without a label left out" if left else ""
        sys.stderr.write(f"{name + ': ' if name else ''}{shown} ({scores['rows']} rows{without})\n")


def _pairs(path: Path) -> tuple[dict[str, Pairs], int]:
    """The pairs of everyone who has answered, and how many rows there are."""
    pairs: dict[str, Pairs] = {}
    total = 0
    with path.open("rb") as file:
        for line in file:
            row = orjson.loads(line)
            total += 1
            if isinstance(row.get("label"), str):
                for name, answer in _answers(row):
                    pairs.setdefault(name, []).append((answer, row["label"]))
    return pairs, total


def _answers(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    named = row.get("responses", {_ONLY: row})
    for name, answer in named.items():
        if "response" not in answer and "error" not in answer:
            raise DataError("--metric compares texts, and this model gives numbers", hint="leave --metric out")
        yield name, answer.get("response", "")


def _scores(pairs: Pairs, metrics: Sequence[InferMetric]) -> dict[str, float]:
    scores: dict[str, float] = {}
    if "accuracy" in metrics:
        scores["accuracy"] = _percent([is_same(*pair) for pair in pairs])
    if "rouge" in metrics:
        scores["rouge_1"] = _percent([rouge_n(*pair, 1) for pair in pairs])
        scores["rouge_2"] = _percent([rouge_n(*pair, 2) for pair in pairs])
        scores["rouge_l"] = _percent([rouge_l(*pair) for pair in pairs])
    if "bleu" in metrics:
        scores["bleu"] = bleu(*zip(*pairs, strict=True))
    return scores


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values)
