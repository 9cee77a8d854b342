"""What a metric is: which questions it takes, how an answer is got and scored, and what scores add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from swift.evaluation.item import Item
from swift.types import Conversation, Message

Scores = Mapping[str, Any]
"""What is found out about one answer: JSON values by name."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a summary: the mean of a value over answers, in percent, unless said otherwise.

    Attributes:
        title: What it is called on the terminal and in the report.
        of: The value of one answer, from 0 to 1; None where the answer does not count. With `pooled`, a tuple.
        combine: Makes one value of all answers to a question (pass@k); without, each answer counts by itself.
        pooled: Makes the number, in percent, of the sums of the tuples (BLEU).
        lower: Less of it is better.
    """

    title: str
    of: Callable[[Scores], Any]
    combine: Callable[[Sequence[float]], float | None] | None = None
    pooled: Callable[[Sequence[float]], float] | None = None
    lower: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """What a metric leaves out: functions that tell why, or say nothing.

    Attributes:
        row: Of a whole row.
        turn: Of one question.
        told: Reason to what the user reads, behind a number.
    """

    row: Callable[[Conversation], str] = field(default=lambda sample: "")
    turn: Callable[[Item], str] = field(default=lambda item: "")
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to judge.

    Attributes:
        measures: What scores add up to, the most important first.
        score: The scores of an answer; of the likelihoods' choice where `way` is choose.
        way: generate an answer, or choose the likeliest of the choices.
        filter: What is left out.
        judged: Scores come from a judge, afterwards.
        failed: Scores of a question that cannot be asked, such as one that is too long; None leaves it out.
    """

    measures: Mapping[str, Measure]
    score: Callable[[Message, Item], Scores] = field(default=lambda answer, item: {})
    way: Literal["generate", "choose"] = "generate"
    filter: Filter = field(default_factory=Filter)
    judged: bool = False
    failed: Callable[[Item], Scores] | None = None


FOREIGN = ("lm_eval", "evalscope")
"""Metrics of sets that another evaluator has judged: what their scores are called is known from the answers only."""


def shares(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Metric:
    """Of scores of another evaluator, those that are from 0 to 1 for all answers; None among them does not count."""
    found = {}
    for name in names:
        values = [line["scores"].get(name) for line in lines if "scores" in line]
        known = [value for value in values if value is not None]
        if known and all(0 <= value <= 1 for value in known):
            found[name] = Measure(name, maybe(name))
    return Metric(found)


def maybe(name: str) -> Callable[[Scores], Any]:
    """A measure's value that stands among the scores under a name, of answers that have it."""
    return lambda scores: scores.get(name)


def named(name: str) -> Callable[[Scores], Any]:
    """A measure's value that stands among the scores under a name."""
    return lambda scores: scores[name]
