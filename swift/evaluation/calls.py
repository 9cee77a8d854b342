"""Whether an answer calls what the reference calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swift.evaluation.toolbench import same_value
from swift.types import ToolCall


def same_calls(mine: Sequence[ToolCall], theirs: Sequence[ToolCall]) -> bool:
    """Whether calls are the same, by name and arguments, in any order."""
    left = list(theirs)
    for call in mine:
        place = next((place for place, other in enumerate(left) if _same(call, other)), None)
        if place is None:
            return False
        del left[place]
    return not left


def same_names(mine: Sequence[ToolCall], theirs: Sequence[ToolCall]) -> bool:
    """Whether the same functions are called, in any order."""
    return sorted(call.name for call in mine) == sorted(call.name for call in theirs)


def _same(one: ToolCall, other: ToolCall) -> bool:
    return one.name == other.name and same_value(_plain(one.arguments), _plain(other.arguments))


def _plain(arguments: Any) -> Any:
    """No arguments are an empty mapping."""
    return {} if arguments in (None, "") else arguments
