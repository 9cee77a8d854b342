"""What lm-eval found, as results of our own kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swift.evaluation.intervals import Estimate, Z
from swift.evaluation.metric import Measure, Metric, named
from swift.evaluation.result import Line, Result
from swift.evaluation.task import Task
from swift.types import Sampling


def lines_of(samples: Sequence[Mapping[str, Any]]) -> list[Line]:
    """A line for each document: what was asked and said, and all metrics by name and filter."""
    lines: dict[Any, dict[str, Any]] = {}
    for sample in samples:
        number = sample["doc_id"]
        if number not in lines:
            lines[number] = _line(sample)
        for name in sample["metrics"]:
            value = sample[name]
            number_like = isinstance(value, bool | int | float)
            lines[number]["scores"][_key(name, sample["filter"])] = float(value) if number_like else None
    return list(lines.values())


def _line(sample: Mapping[str, Any]) -> dict[str, Any]:
    line = {
        "id": str(sample["doc_id"]),
        "key": sample["doc_hash"][:20],
        "cluster": str(sample["doc_id"]),
        "asked": str(sample["arguments"][0][0]),
        "reference": sample["target"] if isinstance(sample["target"], str | int | float) else str(sample["target"]),
        "scores": {},
    }
    answers = [response[0] for response in sample["resps"]]
    if isinstance(answers[0], str):
        return {**line, "response": answers[0]}
    if isinstance(answers[0], float):
        return {**line, "logprobs": answers, "prediction": ""}
    logprobs = [logprob for logprob, _ in answers]
    best = max(range(len(logprobs)), key=logprobs.__getitem__)
    return {
        **line,
        "choices": [str(arguments[1]) for arguments in sample["arguments"]],
        "logprobs": logprobs,
        "greedy": [greedy for _, greedy in answers],
        "prediction": best,
    }


def _key(name: str, filter_name: str) -> str:
    return name if filter_name == "none" else f"{name} ({filter_name})"


def result_of(
    name: str, values: Mapping[str, Any], lines: Sequence[Line], count: int, facts: Mapping[str, Any]
) -> Result:
    """The result of a task or a group of tasks.

    Means of values from 0 to 1 are percents; all else is as lm-eval has it, such as perplexities. Intervals are made
    of lm-eval's standard errors.
    """
    scores: dict[str, Estimate] = {}
    for key, value in values.items():
        metric, comma, filter_name = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        title = _key(metric, filter_name)
        found = [line["scores"].get(title) for line in lines]
        value = float(value)
        share = bool(0 <= value <= 1 and all(score is not None and 0 <= score <= 1 for score in found))
        factor = 100.0 if share else 1.0
        error = values.get(f"{metric}_stderr,{filter_name}")
        low = high = None
        if isinstance(error, int | float):
            low, high = factor * (value - Z * float(error)), factor * (value + Z * float(error))
            if share:
                low, high = max(0.0, low), min(100.0, high)
        scores[title] = Estimate(factor * value, low, high, count)
    return Result(name, "lm_eval", scores, facts=facts)


def task_of(result: Result, folder: Path) -> Task:
    """A task for showing a result."""
    measures = {name: Measure(name, named(name)) for name in result.scores}
    return Task(result.name, "lm_eval", Metric(measures), (), folder, Sampling())
