"""Rows of plain text, for continued pre-training."""

from __future__ import annotations

from swift.data.reasons import EMPTY_TEXT, WRONG_TYPE
from swift.data.shapes.conversation import row_weight
from swift.data.shapes.values import kind
from swift.errors import RowError
from swift.types import Row, Text


def text(row: Row) -> Text | None:
    """The column `text`, every token of which is trained on.

    Raises:
        RowError: It is empty or no text.
    """
    value = row.values.get("text")
    if value is None:
        return None
    if not isinstance(value, str):
        raise RowError(WRONG_TYPE, f"text is {kind(value)}, not a text")
    if not value.strip():
        raise RowError(EMPTY_TEXT, "text is empty")
    return Text(value, row.origin, row_weight(row.values))
