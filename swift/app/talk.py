"""A chat as the page keeps it, and the messages that a server gets of it."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from swift.errors import SwiftError
from swift.serving.events import CallPart, Event
from swift.types import MediaKind

KINDS: tuple[MediaKind, ...] = ("image", "audio", "video")

Message = dict[str, Any]
"""A message in OpenAI's form."""


class PageError(SwiftError):
    """Something that a visitor of the page can mend; it is shown there in one line."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """An uploaded file.

    Attributes:
        path: Where it lies.
        kind: What it is.
    """

    path: str
    kind: MediaKind


@dataclass(frozen=True, slots=True)
class Call:
    """A function that the model calls; `arguments` is JSON text, as far as it has come."""

    name: str
    arguments: str
    id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What one model answers, as far as it has come.

    Attributes:
        model: Whom it is from.
        content: The words.
        reasoning: The thinking.
        calls: Functions that it calls.
        finish: Why it ended; None while it grows.
        error: What went wrong, in one line; empty where nothing did.
        usage: Tokens of prompt and answer, once they are told.
        first: Seconds until something came; None before.
        seconds: Seconds until now, or the end.
    """

    model: str
    content: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: str | None = None
    error: str = ""
    usage: tuple[int, int] | None = None
    first: float | None = None
    seconds: float = 0.0

    @property
    def growing(self) -> bool:
        """Whether more may come."""
        return self.finish is None and not self.error


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user says, and what each column of the page answers; None where it was not asked.

    Attributes:
        text: The words.
        files: What is shown with them.
        replies: One a column.
    """

    text: str
    files: tuple[Attachment, ...] = ()
    replies: tuple[Reply | None, ...] = field(default=(None, None))


def attachment(path: str) -> Attachment:
    """An uploaded file, by the kind that its name tells.

    Raises:
        PageError: It is neither a picture nor a sound nor a video.
    """
    told = (mimetypes.guess_type(path)[0] or "").partition("/")[0]
    for kind in KINDS:
        if told == kind:
            return Attachment(path, kind)
    raise PageError(f"{Path(path).name} is neither a picture nor a sound nor a video")


def grown(reply: Reply, event: Event, seconds: float) -> Reply:
    """A reply with what an event adds.

    Args:
        reply: So far.
        event: What has come.
        seconds: Since it was asked for.
    """
    something = bool(event.content or event.reasoning or event.calls)
    calls = _calls(reply.calls, event.calls)
    return replace(
        reply,
        content=reply.content + event.content,
        reasoning=reply.reasoning + event.reasoning,
        calls=calls if event.finish is None else tuple(call for call in calls if _whole(call)),
        finish=event.finish or reply.finish,
        usage=event.usage or reply.usage,
        first=seconds if reply.first is None and something else reply.first,
        seconds=seconds,
    )


def _calls(calls: tuple[Call, ...], parts: Sequence[CallPart]) -> tuple[Call, ...]:
    found = list(calls)
    for part in parts:
        if part.index < len(found):
            old = found[part.index]
            found[part.index] = Call(old.name + part.name, old.arguments + part.arguments, old.id)
        else:
            found.append(Call(part.name, part.arguments, part.id or f"call_{len(found)}"))
    return tuple(found)


def _whole(call: Call) -> bool:
    """Whether a call can be sent back: one that was begun and turned out to be none has no whole arguments."""
    try:
        orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        return False
    return True


def messages_of(turns: Sequence[Turn], column: int, system: str) -> list[Message]:
    """What the model of a column gets: the turns that it has answered, and the last one.

    Args:
        turns: The chat; the last one is to be answered.
        column: Whose answers count.
        system: The system prompt; empty for none.

    Raises:
        PageError: A file is gone, or a function's results are not what was asked for.
    """
    messages: list[Message] = [{"role": "system", "content": system}] if system.strip() else []
    asked: tuple[Call, ...] = ()
    for turn in turns[:-1]:
        reply = turn.replies[column]
        if reply is None or not (reply.content or reply.calls):
            continue  # an answer that failed, or was never asked for; templates want turns to alternate
        messages += [*_said(turn, asked), _answered(reply)]
        asked = reply.calls
    return [*messages, *_said(turns[-1], asked)]


def _said(turn: Turn, calls: tuple[Call, ...]) -> list[Message]:
    """The user's turn; behind calls of functions it is what they gave back."""
    if calls:
        results = results_of(turn.text, len(calls))
        return [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(calls, results, strict=True)
        ]
    if not turn.files:
        return [{"role": "user", "content": turn.text}]
    parts: list[Message] = [part_of(file) for file in turn.files]
    if turn.text:
        parts.append({"type": "text", "text": turn.text})
    return [{"role": "user", "content": parts}]


def results_of(text: str, count: int) -> list[str]:
    """What functions gave back: the text for one call; for several, a JSON list with one result each.

    Raises:
        PageError: There are several calls, and the text is no such list.
    """
    if count == 1:
        return [text]
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, list) or len(values) != count:
        raise PageError(f"the model called {count} functions: answer with a JSON list of {count} results")
    return [value if isinstance(value, str) else orjson.dumps(value).decode() for value in values]


def _answered(reply: Reply) -> Message:
    message: Message = {"role": "assistant", "content": reply.content}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in reply.calls
        ]
    return message


def part_of(file: Attachment) -> Message:
    """A file as a part of a message in OpenAI's form, with its bytes in it.

    Raises:
        PageError: It is gone.
    """
    path = Path(file.path)
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError:
        raise PageError(f"{path.name} is no longer there: attach it again") from None
    if file.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": data, "format": path.suffix.lower().lstrip(".")}}
    url = {"url": f"data:{mimetypes.guess_type(file.path)[0]};base64,{data}"}
    return {"type": f"{file.kind}_url", f"{file.kind}_url": url}
