"""Rows that hold a list of messages: OpenAI, ShareGPT, and pairs of human and assistant."""

from __future__ import annotations

from swift.data.reasons import AMBIGUOUS_COLUMNS, NO_MESSAGES
from swift.data.shapes.conversation import conversation
from swift.data.shapes.turns import turns
from swift.data.shapes.values import json_value
from swift.errors import RowError
from swift.types import Conversation, Row

COLUMNS = ("messages", "conversations", "conversation")


def messages(row: Row) -> Conversation | None:
    """A conversation from the column messages, conversations or conversation; a table may hold it as JSON text.

    Raises:
        RowError: Two of the columns are filled, or the list is unusable.
    """
    values = row.values
    filled = [column for column in COLUMNS if values.get(column)]
    if not filled:
        if any(values.get(column) == [] for column in COLUMNS):
            raise RowError(NO_MESSAGES, "the list of messages is empty")
        return None
    if len(filled) > 1:
        raise RowError(AMBIGUOUS_COLUMNS, f"{' and '.join(filled)} both hold messages; map one away with --columns")
    column = filled[0]
    return conversation(row, turns(json_value(values[column], column), column))
