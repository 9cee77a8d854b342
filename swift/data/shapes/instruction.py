"""Rows with a question and an answer in columns: Alpaca, query and response, prompt and completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swift.data.reasons import AMBIGUOUS_COLUMNS, EMPTY_QUESTION, MISSING_COLUMN, WRONG_TYPE
from swift.data.shapes.conversation import conversation
from swift.data.shapes.turns import assistant, turns
from swift.data.shapes.values import json_value, kind, text_value
from swift.errors import RowError
from swift.types import Conversation, Message, Row

QUESTIONS = ("query", "instruction", "prompt", "question", "problem")
ANSWERS = (
    "response",
    "output",
    "completion",
    "answer",
    "target",
    "targets",
    "solution",
    "answers",
    "answer_key",
    "content",
)


def instruction(row: Row) -> Conversation | None:
    """A conversation from a question column, an answer column, and history.

    `query` and `response` win over other names, so that `--columns` can settle what a row leaves open.
    Alpaca's `input` follows its instruction on a new line.

    Raises:
        RowError: `ambiguous_columns`, `missing_column`, `empty_question`, or a value of the wrong type.
    """
    values = row.values
    asked = _pick(values, QUESTIONS, "question")
    answered = _pick(values, ANSWERS, "answer")
    if asked is None and answered is None and not values.get("input"):
        return None
    if asked is None and "input" in values:
        asked = "input"
    if asked is None:
        raise RowError(
            MISSING_COLUMN,
            f"{answered} looks like an answer, and there is no question column; "
            "map yours to query with --columns, or plain text to text",
        )
    if answered is None and values.get("text"):
        raise RowError(
            AMBIGUOUS_COLUMNS,
            f"text beside {asked} may be an answer or plain text; "
            "map it to response with --columns, or train with swift pt",
        )
    messages = [*_history(values.get("history")), *_question(values, asked)]
    if answered is not None:
        answer = values[answered]
        messages += turns(answer, answered) if _is_messages(answer) else [assistant(answer, answered)]
    return conversation(row, messages)


def _pick(values: Mapping[str, Any], names: Sequence[str], what: str) -> str | None:
    """The column to use among those that are there; a filled one before an empty one."""
    present = [name for name in names if name in values and values[name] is not None]
    filled = [name for name in present if values[name] != ""]
    if len(filled) > 1 and filled[0] != names[0]:
        raise RowError(
            AMBIGUOUS_COLUMNS,
            f"{' and '.join(filled)} may each be the {what}; "
            f"""settle it with --columns '{{"{filled[0]}": "{names[0]}"}}'""",
        )
    return next(iter(filled or present), None)


def _question(values: Mapping[str, Any], asked: str) -> list[Message]:
    value = values[asked]
    if _is_messages(value):
        return turns(value, asked)
    text = text_value(value, asked)
    extra = text_value(values.get("input"), "input") if asked != "input" else ""
    if extra and asked != "instruction" and text:
        raise RowError(
            AMBIGUOUS_COLUMNS,
            f"{asked} and input may each be the question; "
            f"""settle it with --columns '{{"{asked}": "instruction"}}'""",
        )
    if not text.strip() and not extra.strip():
        raise RowError(EMPTY_QUESTION, f"{asked} is empty")
    return [Message("user", "\n".join(part for part in (text, extra) if part))]


def _history(value: Any) -> list[Message]:
    """Earlier rounds as pairs of question and answer."""
    pairs = json_value(value, "history") if value else []
    if not isinstance(pairs, list):
        raise RowError(WRONG_TYPE, f"history is {kind(pairs)}, not a list of pairs")
    if _is_messages(pairs):
        return turns(pairs, "history")
    messages: list[Message] = []
    for place, pair in enumerate(pairs, 1):
        what = f"round {place} of history"
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise RowError(WRONG_TYPE, f"{what} is not a pair of question and answer")
        messages += (Message("user", text_value(pair[0], what)), assistant(pair[1], what))
    return messages


def _is_messages(value: Any) -> bool:
    """Whether a value is a list of messages and not of text parts."""
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and ("role" in value[0] or "from" in value[0])
    )
