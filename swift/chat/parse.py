"""A model's answer as a message."""

from __future__ import annotations

from dataclasses import replace

from swift.chat.codec import Codec
from swift.chat.messages import split_thinking
from swift.chat.tools.base import Tools, tool_formats
from swift.chat.tools.choose import reading_format
from swift.types import Message

_THINK_END = "</think>"


def parse_answer(text: str, codec: Codec, tools: Tools = ()) -> Message:
    """Split thinking off where the template knows thinking, and take calls out of what is left.

    Args:
        text: What was generated, without the stop token; or, while it is being generated, as much as there is.
        codec: The model's codec, which knows the format of calls: the one in which we write them, or the one that
            the template is proved to write, or that of the model's family.
        tools: What was offered: its types tell a string from a number where the format does not.

    Returns:
        An assistant turn. A text without the end of thinking is all answer: whether thinking was on is not known
        here, and nothing of it may be lost. What looks like a call but cannot be read stays in the text.
    """
    message = _without_thinking(text, codec)
    name = reading_format(codec.writes_tools, codec.template, codec.family_tools)
    if not name:
        return message
    found = tool_formats.get(name).read(message.content, tools)
    if not found.calls:
        return message
    content, reasoning = found.content.strip(), message.reasoning
    opened = codec.template.dialect.think_open.strip()
    if reasoning is None and opened and opened != "<think>" and content.startswith(opened):
        # Thinking that goes over into a call has no answer that would end it.
        content, reasoning = "", content[len(opened) :].strip()
    return replace(message, content=content, reasoning=reasoning, tool_calls=found.calls)


def _without_thinking(text: str, codec: Codec) -> Message:
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
