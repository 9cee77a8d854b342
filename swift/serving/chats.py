"""What chats of all dialects share: where their media may come from, and what makes a conversation complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from swift.config.media import MediaConfig
from swift.config.serve import ServeLimits
from swift.errors import RowError
from swift.media import as_media
from swift.media.source import scheme_of
from swift.serving.choosing import Rules, require_small
from swift.serving.errors import bad, refused_row
from swift.types import Conversation, Media, MediaKind, Message, Origin, Placed


def medium(kind: MediaKind, value: str | Mapping[str, Any], config: MediaConfig) -> Media:
    """A medium of a client.

    Args:
        kind: What it is to be.
        value: An address, a `data:` URI, a path; or `{"data": base64}`.
        config: Files come only from its `root`, addresses only from its `hosts`.

    Raises:
        ApiError: 400, for one that may not be used.
    """
    try:
        found = as_media(kind, value)
        source = found.source
        if isinstance(source, tuple):
            raise bad(f"a list of frames is no {kind}")
        scheme = scheme_of(source) if isinstance(source, str) else "data"
    except RowError as error:
        raise refused_row(error) from None
    if scheme in ("http", "https") and not config.hosts:
        raise bad("this server fetches nothing: send media as data: URIs", code="media_refused_host")
    if scheme in ("", "file") and config.root is None:
        raise bad("this server reads no files: send media as data: URIs", code="media_outside_root")
    return found


def joined(parts: Sequence[str | Media]) -> tuple[str, tuple[Placed, ...]]:
    """Texts and media of a message, as `Message` has them."""
    text = ""
    media = []
    for part in parts:
        if isinstance(part, str):
            text += part
        else:
            media.append(Placed(len(text), part))
    return text, tuple(media)


def decoded(text: str, what: str) -> Any:
    """A JSON value in a string.

    Raises:
        ApiError: 400, where it is none.
    """
    try:
        return orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError as error:
        raise bad(f"{what}: not JSON: {error.msg}") from None


def conversation(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    kwargs: Mapping[str, Any],
    rules: Rules,
) -> Conversation:
    """A chat that can be answered.

    Args:
        messages: The turns.
        tools: What is offered, in OpenAI's form.
        kwargs: Variables for the template.
        rules: Limits.

    Raises:
        ApiError: 400, where it cannot be answered or is too large.
    """
    limits = rules.limits
    _require_few(messages, tools, limits)
    if not any(message.role in ("user", "tool") for message in messages):
        raise bad("there is no message of the user to answer", "messages")
    if messages[-1].role == "assistant":
        raise bad("the last message is the assistant's; answers are not gone on with here", "messages")
    if tools:
        require_small(len(orjson.dumps(list(tools))), rules)
    return Conversation(_named(messages), Origin("request", 1), tuple(tools), dict(kwargs))


def whole(messages: Sequence[Message], kwargs: Mapping[str, Any], rules: Rules) -> Conversation:
    """A chat that is judged as it is, whoever speaks last.

    Raises:
        ApiError: 400, where it is too large.
    """
    _require_few(messages, (), rules.limits)
    return Conversation(_named(messages), Origin("request", 1), (), dict(kwargs))


def _require_few(messages: Sequence[Message], tools: Sequence[object], limits: ServeLimits) -> None:
    if len(messages) > limits.messages:
        raise bad(f"{len(messages)} messages; at most {limits.messages} here", "messages")
    if len(tools) > limits.tools:
        raise bad(f"{len(tools)} tools; at most {limits.tools} here", "tools")
    media = sum(len(message.media) for message in messages)
    if media > limits.media:
        raise bad(f"{media} pictures, videos and sounds; at most {limits.media} here", "messages")


def _named(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Results of functions with the function's name, by the id of the call."""
    names: dict[str, str] = {}
    found = []
    for message in messages:
        for call in message.tool_calls:
            if call.id is not None:
                names[call.id] = call.name
        if message.role == "tool" and message.name is None and message.tool_call_id in names:
            message = Message(
                "tool",
                message.content,
                name=names[message.tool_call_id],
                tool_call_id=message.tool_call_id,
                media=message.media,
            )
        found.append(message)
    return tuple(found)
