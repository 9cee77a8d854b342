"""What evalscope found, as results of our own kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from swift.errors import EngineError
from swift.evaluation.intervals import Estimate
from swift.evaluation.metric import Measure, Metric, maybe, shares
from swift.evaluation.result import Line, Result, read_lines, summed
from swift.evaluation.scope.sets import Wanted


def lines_of(wanted: Wanted) -> list[Line]:
    """A line for each answer that evalscope has judged: what was asked and said, and all its scores."""
    files = sorted((wanted.work / "reviews").glob("*/*.jsonl"))
    lines = []
    for file in files:
        subset = file.stem.removeprefix(f"{wanted.name}_")
        reviews = sorted(read_lines(file), key=lambda review: review["index"])
        lines += [_line(review, subset, several=len(files) > 1) for review in reviews]
    return lines


def _line(review: Mapping[str, Any], subset: str, *, several: bool) -> Line:
    found = review["sample_score"]
    score = found["score"]
    *asked, _ = review["messages"]
    line = {
        "id": f"{subset}-{found['group_id']}",
        "key": f"{subset}-{review['index']}",
        "sample": found["generation_index"],
        "cluster": f"{subset}-{found['group_id']}",
        "asked": "\n\n".join(_text(message) for message in asked),
        "reference": _reference(review.get("target")),
        "response": score["prediction"] or "",
        "prediction": score["extracted_prediction"],
    }
    if several:
        line["group"] = subset
    if score["status"] != "success":
        return {**line, "error": f"evalscope could not judge it: {score.get('explanation') or score['status']}"}
    return {**line, "scores": _scores(score)}


def _text(message: Mapping[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", f"<{part.get('type')}>") for part in content)


def _reference(target: Sequence[str] | None) -> str | list[str]:
    values = list(target or ("",))
    return values[0] if len(values) == 1 else values


def _scores(score: Mapping[str, Any]) -> dict[str, float | None]:
    """Values by name. evalscope has 0 for what it could not compute; here that is no value."""
    lost = [name.lower() for name in (score.get("metadata") or {}).get("metric_errors", {})]
    return {
        name: None if any(name.lower().startswith(metric) for metric in lost) else float(value)
        for name, value in score["value"].items()
    }


def lost_metrics(wanted: Wanted) -> dict[str, str]:
    """Metrics that evalscope could not compute, and why."""
    found: dict[str, str] = {}
    for file in (wanted.work / "reviews").glob("*/*.jsonl"):
        for review in read_lines(file):
            metadata = review["sample_score"]["score"].get("metadata") or {}
            for name, why in metadata.get("metric_errors", {}).items():
                found.setdefault(name, " ".join(part for part in str(why).split() if set(part) != {"*"})[:160])
    return found


def result_of(wanted: Wanted, lines: Sequence[Line], facts: Mapping[str, Any]) -> tuple[Metric, Result]:
    """The result of a set, and the metric that it is of.

    Means over answers are ours, with their intervals, in percent where all values are from 0 to 1. What evalscope sums
    up in another way (such as pass@k) is as it has it, without interval.
    """
    names = list(dict.fromkeys(name for line in lines for name in line.get("scores", ())))
    percents = shares(lines, names)
    result = summed(wanted.label, "evalscope", percents, lines, {}, facts)
    scores = dict(result.scores)
    for name in names:
        if name not in scores:
            values = [line["scores"][name] for line in lines if line.get("scores", {}).get(name) is not None]
            scores[name] = Estimate(sum(values) / len(values) if values else None, None, None, len(values))
    scores |= dict(_other_sums(wanted))
    whole = Metric({name: Measure(name, maybe(name)) for name in scores})
    groups = result.groups if percents.measures else {}
    return whole, Result(result.name, "evalscope", scores, groups, result.failed, {}, facts)


def _other_sums(wanted: Wanted) -> Iterator[tuple[str, Estimate]]:
    """What evalscope's report has that is no mean."""
    for metric in _report(wanted)["metrics"]:
        identity = metric["identity"]
        if identity["aggregation"] == "mean":
            continue
        parts = [f"{name} {value}" for name, value in (identity.get("dimensions") or {}).items()]
        title = ", ".join([f"{identity['name']} ({identity['aggregation']})", *parts])
        factor = (metric.get("semantics") or {}).get("display_multiplier") or 1.0
        value = metric["score"]
        yield title, Estimate(None if value is None else factor * value, None, None, int(metric["num"]))


def _report(wanted: Wanted) -> dict[str, Any]:
    file = next(iter(sorted((wanted.work / "reports").glob(f"*/{wanted.name}.json"))), None)
    if file is None:
        raise EngineError(f"evalscope has written no report of {wanted.name}", hint=f"see {wanted.work / 'logs'}")
    found: dict[str, Any] = orjson.loads(file.read_bytes())
    return found
