"""What all conversations share: the columns beside the messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swift.data.reasons import BAD_WEIGHT, TWO_SYSTEMS, WRONG_TYPE
from swift.data.shapes.tools import tool_schemas
from swift.data.shapes.values import kind, mapping_value, text_value, weight_value
from swift.errors import RowError
from swift.types import Conversation, Message, Row

_SYSTEM = ("system", "system_prompt")


def conversation(row: Row, messages: Sequence[Message]) -> Conversation:
    """The messages with the row's system text, tools, template variables and weight.

    Raises:
        RowError: `two_systems`, `bad_tool`, `bad_weight`, `wrong_type`.
    """
    values = row.values
    return Conversation(
        messages=_with_system(values, tuple(messages)),
        origin=row.origin,
        tools=tool_schemas(values.get("tools") or values.get("functions")),
        template_kwargs=_template_kwargs(values),
        weight=row_weight(values),
    )


def row_weight(values: Mapping[str, Any]) -> float:
    """What the column `weight` or `loss_weight` says; 1 where there is none. Raises RowError `bad_weight`."""
    found = [weight_value(values[key], key) for key in ("weight", "loss_weight") if values.get(key) is not None]
    if len(set(found)) > 1:
        raise RowError(BAD_WEIGHT, f"weight is {found[0]} and loss_weight is {found[1]}")
    return found[0] if found else 1.0


def _with_system(values: Mapping[str, Any], messages: tuple[Message, ...]) -> tuple[Message, ...]:
    given = [(key, text_value(values[key], key)) for key in _SYSTEM if values.get(key)]
    texts = {text for _, text in given}
    if not texts:
        return messages
    if len(texts) > 1:
        raise RowError(TWO_SYSTEMS, "the columns system and system_prompt differ")
    text = given[0][1]
    if messages and messages[0].role in ("system", "developer"):
        if messages[0].content == text:
            return messages
        raise RowError(TWO_SYSTEMS, f"the column {given[0][0]} and the first message differ")
    return (Message("system", text), *messages)


def _template_kwargs(values: Mapping[str, Any]) -> Mapping[str, Any]:
    given = values.get("chat_template_kwargs")
    kwargs = dict(mapping_value(given, "chat_template_kwargs")) if given else {}
    thinking = values.get("enable_thinking")
    if thinking is not None:
        if not isinstance(thinking, bool):
            raise RowError(WRONG_TYPE, f"enable_thinking is {kind(thinking)}, not true or false")
        kwargs["enable_thinking"] = thinking
    return kwargs
