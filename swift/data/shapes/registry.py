"""The table of shapes, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from swift.registry import Registry
from swift.types import Conversation, Row, Text

Shape: TypeAlias = Callable[[Row], Conversation | Text | None]
"""Gives the sample, or None where the row is of another shape.

Raises:
    RowError: The row is of this shape and something is wrong with it.
"""

# In the order in which they are tried: what holds a whole conversation comes first.
_BUILTIN = {
    "messages": "swift.data.shapes.messages:messages",
    "instruction": "swift.data.shapes.instruction:instruction",
    "text": "swift.data.shapes.text:text",
}
data_shapes: Registry[Shape] = Registry("data shape", dict(_BUILTIN))
"""All shapes by name. A user's own function, registered here, is tried before ours."""


def shape_functions(task: str) -> tuple[Shape, ...]:
    """Shapes in the order in which they are tried: registered ones by name, then ours; `pt` tries text first."""
    return _ordered(tuple(data_shapes.names()), task)


@lru_cache(maxsize=64)
def _ordered(names: tuple[str, ...], task: str) -> tuple[Shape, ...]:
    ours = sorted(_BUILTIN, key=lambda name: (task == "pt" and name != "text", list(_BUILTIN).index(name)))
    return tuple(data_shapes.get(name) for name in [*(name for name in names if name not in _BUILTIN), *ours])
