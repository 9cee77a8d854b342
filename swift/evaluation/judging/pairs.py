"""Of two runs' answers, which the judge finds better; asked twice, with the answers in either place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from swift.config.runs import EvalConfig
from swift.errors import DataError
from swift.evaluation.judging.engine import judgements
from swift.evaluation.judging.prompts import Side, better_prompt, read_better
from swift.evaluation.metric import Measure, named
from swift.evaluation.paired import Comparison, compared
from swift.evaluation.result import Line, Values

FILE = "judgements.jsonl"
_SWAPPED: dict[Side | None, Side | None] = {"first": "second", "second": "first", "tie": "tie", None: None}


def judge_pairs(config: EvalConfig, first: Sequence[Line], second: Sequence[Line], folder: Path) -> Comparison:
    """How often the second run's answer wins: 1 for a win in both places, 0 for a loss in both, a half for all else.

    Raises:
        DataError: The runs have no answers to the same questions, or the judge says nothing that can be read.
        SwiftError: The judge cannot be had.
    """
    theirs = {_name(line): line for line in second if "response" in line}
    pairs = [(line, theirs[_name(line)]) for line in first if "response" in line and _name(line) in theirs]
    if not pairs:
        raise DataError("the runs have no generated answers to the same questions", hint="compare without --judge")
    prompts = []
    for one, other in pairs:
        for swapped, (left, right) in enumerate(((one, other), (other, one))):
            prompt = better_prompt(_asked(one), left["response"], right["response"], _reference(one))
            prompts.append((_key(one, other, swapped), prompt))
    found = judgements(config, folder / FILE, prompts)
    values = []
    for one, other in pairs:
        sides = [read_better(found.get(_key(one, other, swapped), "")) for swapped in (0, 1)]
        values.append(verdict(sides[0], sides[1]))
    known = [(pair, value) for pair, value in zip(pairs, values, strict=True) if value is not None]
    if not known:
        raise DataError("the judge said nothing that can be read", hint=f"see {folder / FILE}; take another judge")
    ids = tuple(_name(one) for (one, _), _ in known)
    clusters = tuple(one["cluster"] for (one, _), _ in known)
    wins = Values(ids, tuple(value for _, value in known), clusters)
    losses = Values(ids, tuple(1 - value for _, value in known), clusters)
    comparison = compared(losses, wins, Measure("judged better", named("")))
    assert comparison is not None
    return comparison


def verdict(straight: Side | None, swapped: Side | None) -> float | None:
    """What two judgements come to for the second answer: a judge who changes with the place has no opinion.

    Args:
        straight: With the first run's answer in the first place.
        swapped: With it in the second place.

    Returns:
        1, 0, or a half; None where either cannot be read.
    """
    back = _SWAPPED[swapped]
    if straight is None or back is None:
        return None
    if straight == back:
        return {"first": 0.0, "second": 1.0, "tie": 0.5}[straight]
    return 0.5


def _name(line: Line) -> str:
    return f"{line['id']}#{line.get('sample', 0)}"


def _key(one: Line, other: Line, swapped: int) -> str:
    texts = [one["key"], one["response"], other["response"], str(swapped)]
    return sha256("\0".join(texts).encode()).hexdigest()[:24]


def _asked(line: Line) -> str:
    found: str = line.get("asked", "")
    return found


def _reference(line: Line) -> str:
    found: Any = line["reference"]
    if isinstance(found, Mapping):
        found = found.get("content", "")
    return found if isinstance(found, str) else ""
