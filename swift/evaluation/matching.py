"""Which lines of two runs are of the same question: an id alone may be the number of a row in another file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from swift.evaluation.result import Line

_TURN = re.compile(r"(?:\A|\n\n)(?:user|tool): ")


@dataclass(frozen=True, slots=True)
class Matched:
    """Lines of two runs without those that have an id in common, but not the question.

    Attributes:
        first: Lines of the first run.
        second: Lines of the second.
        same: Questions that both have.
        others: Ids that mean one question in the first run and another in the second.
    """

    first: tuple[Line, ...]
    second: tuple[Line, ...]
    same: int
    others: int


def matched(first: Sequence[Line], second: Sequence[Line]) -> Matched:
    """Leave out lines whose reference or question is another than that of the other run's line of the same id."""
    mine, theirs = _questions(first), _questions(second)
    common = mine.keys() & theirs.keys()
    others = {name for name in common if not _agree(mine[name], theirs[name])}
    return Matched(
        tuple(line for line in first if line["id"] not in others),
        tuple(line for line in second if line["id"] not in others),
        len(common) - len(others),
        len(others),
    )


def _questions(lines: Sequence[Line]) -> dict[str, tuple[Any, str | None]]:
    return {line["id"]: (line.get("reference"), _question(line)) for line in lines}


def _question(line: Line) -> str | None:
    """The last turn of the user, as runs may differ in their system message and solved examples."""
    asked = line.get("asked")
    turns = list(_TURN.finditer(asked)) if isinstance(asked, str) else []
    return asked[turns[-1].end() :] if isinstance(asked, str) and turns else None


def _agree(mine: tuple[Any, str | None], theirs: tuple[Any, str | None]) -> bool:
    return mine[0] == theirs[0] and (mine[1] is None or theirs[1] is None or mine[1] == theirs[1])
