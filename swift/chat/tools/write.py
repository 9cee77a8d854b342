"""A conversation whose tools, calls and results are text, for a template that has no place for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from swift.chat import reasons
from swift.chat.template import Dialect
from swift.chat.tools.base import Result, ToolFormat
from swift.errors import RowError
from swift.types import Conversation, Message, Placed


def write_tools(sample: Conversation, form: ToolFormat, name: str, dialect: Dialect) -> Conversation:
    """`sample` with tools in the system message, calls in the assistant's text, and results in turns of text.

    A conversation that neither offers nor calls anything is left alone; what this returns is one.

    Args:
        sample: With or without tools.
        form: How they are written.
        name: Its name, for errors.
        dialect: Whether the template shows turns of the tool.

    Raises:
        RowError: A call cannot be written so that it can be read again.
    """
    if not sample.tools and not any(message.tool_calls for message in sample.messages):
        return sample
    messages = list(_texts(sample.messages, form, name, dialect))
    if sample.tools:
        offered = form.offer(sample.tools)
        if messages and messages[0].role in ("system", "developer"):
            first = messages[0]
            content = f"{first.content}\n\n{offered}" if first.content.strip() else offered
            messages[0] = replace(first, content=content)
        else:
            messages.insert(0, Message("system", offered))
    return replace(sample, messages=tuple(messages), tools=())


def _texts(messages: Sequence[Message], form: ToolFormat, name: str, dialect: Dialect) -> Iterator[Message]:
    names = {call.id: call.name for message in messages for call in message.tool_calls if call.id is not None}
    waiting: list[Message] = []  # turns of the tool that are not told yet
    called: list[str] = []
    for number, message in enumerate(messages):
        if message.role == "tool":
            waiting.append(message)
            continue
        if waiting:
            yield _told(waiting, called, names, form, dialect)
            waiting = []
        if not message.tool_calls:
            yield message
            continue
        called = [call.name for call in message.tool_calls]
        try:
            content = form.write(message.content, message.tool_calls)
        except ValueError as error:
            raise RowError(reasons.TOOL_CALL_LOST, f"message {number + 1}, format {name}: {error}") from error
        yield replace(message, content=content, tool_calls=())
    if waiting:
        yield _told(waiting, called, names, form, dialect)


def _told(
    turns: Sequence[Message], called: Sequence[str], names: dict[str, str], form: ToolFormat, dialect: Dialect
) -> Message:
    """One turn with what several of the tool say."""
    found = []
    for number, turn in enumerate(turns):
        by_place = called[number] if number < len(called) else ""
        known = turn.name or (names.get(turn.tool_call_id) if turn.tool_call_id else None) or by_place
        found.append(Result(known, turn.content))
    text = form.results(found)
    role = form.role if dialect.results else "user"
    media = tuple(Placed(len(text), placed.media) for turn in turns for placed in turn.media)
    return Message(role, text, media=media, results=role == "user")
