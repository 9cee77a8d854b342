"""A model's answer as a message."""

from __future__ import annotations

from swift.chat.codec import Codec
from swift.chat.messages import split_thinking
from swift.types import Message

_THINK_END = "</think>"


def parse_answer(text: str, codec: Codec) -> Message:
    """Split thinking off where the template knows thinking; tool calls stay in the text.

    Args:
        text: What was generated, without the stop token.
        codec: The model's codec.

    Returns:
        An assistant turn. A text without the end of thinking is all answer: whether thinking was on is not known
        here, and nothing of it may be lost.
    """
    dialect = codec.template.dialect
    if dialect.reasoning == "inline":
        return Message("assistant", text.strip())
    if not dialect.think_close or _THINK_END in dialect.think_close:
        return _parse_tags(text, opened=dialect.opened)
    body = _without(text, dialect.think_open)
    thought, found, answer = body.partition(dialect.think_close.strip())
    if found:
        return Message("assistant", answer.strip(), reasoning=thought.strip())
    return Message("assistant", _without(text, dialect.answer_open).strip())


def _parse_tags(text: str, *, opened: bool) -> Message:
    parts = split_thinking(text)
    if parts is None and opened and _THINK_END in text:
        thought, _, answer = text.partition(_THINK_END)
        parts = thought.strip(), answer
    if parts is None:
        return Message("assistant", text.strip())
    return Message("assistant", parts[1].strip(), reasoning=parts[0] or None)


def _without(text: str, start: str) -> str:
    body, mark = text.lstrip(), start.strip()
    return body[len(mark) :] if mark and body.startswith(mark) else text
