"""Accuracy: of answers that must be the reference word for word, and of choices among given answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.types import Scored

_EDGES = re.compile(r"^[\s\"'`*]+|[\s\"'`*.!]+$")


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
