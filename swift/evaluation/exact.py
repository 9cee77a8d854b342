"""Accuracy: of answers that must be the reference word for word, and of choices among given answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from swift.types import Scored

_EDGES = re.compile(r"^[\s\"'`*]+|[\s\"'`*.!]+$")


@dataclass(frozen=True, slots=True)
class ExactSummary:
    """How often answers are right.

    Attributes:
        accuracy: Percent; None where there is no turn.
        turns: How many turns were judged.
    """

    accuracy: float | None
    turns: int


@dataclass(frozen=True, slots=True)
class ChoiceSummary:
    """How often the right choice is the likeliest.

    Attributes:
        accuracy: Percent, by the likelihood of the whole answer; None where there is no turn.
        accuracy_norm: Percent, by the likelihood to the number of characters, which does not favour short answers.
        chance: Percent that guessing would reach.
        turns: How many turns were judged.
    """

    accuracy: float | None
    accuracy_norm: float | None
    chance: float | None
    turns: int


def plain(text: str) -> str:
    """What of an answer counts: not case, not the kind of white space, not quotes, stars or a full stop around it."""
    return _EDGES.sub("", " ".join(text.split())).casefold()


def is_exact(predicted: str, reference: str) -> bool:
    """Whether an answer is the reference, by what counts."""
    return plain(predicted) == plain(reference)


def likeliest(scores: Sequence[Scored], texts: Sequence[str]) -> tuple[int, int]:
    """Numbers of the choices with the highest likelihood, and with the highest to the number of characters."""
    numbers = range(len(scores))
    whole = max(numbers, key=lambda number: scores[number].logprob)
    return whole, max(numbers, key=lambda number: scores[number].logprob / max(1, len(texts[number])))


def percent(values: Sequence[float]) -> float | None:
    """Mean of the values, times 100; None where there is none."""
    return 100 * sum(values) / len(values) if values else None
