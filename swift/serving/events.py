"""What a streamed chat completion tells, event by event, whichever server writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from swift.errors import ServerError


@dataclass(frozen=True, slots=True)
class CallPart:
    """What a call of a function has grown by.

    Attributes:
        index: Its place among the calls of the answer.
        id: Its id, in its first part.
        name: The function's name, in its first part.
        arguments: A piece of its arguments' JSON text.
    """

    index: int
    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Event:
    """What an answer has grown by.

    Attributes:
        content: Words.
        reasoning: Thinking.
        calls: Calls, or pieces of them.
        finish: Why the answer has ended, once it has.
        usage: Tokens of the prompt and of the answer, once they are told.
    """

    content: str = ""
    reasoning: str = ""
    calls: tuple[CallPart, ...] = ()
    finish: str | None = None
    usage: tuple[int, int] | None = None


DONE = "data: [DONE]"
"""The line that ends a stream."""


def event_of(line: str) -> Event | None:
    """The event in a line of a stream; None where the line tells nothing.

    Raises:
        ServerError: The line tells of an error, or is no event.
    """
    if not line.startswith("data:") or line.strip() == DONE:
        return None
    try:
        value = orjson.loads(line[len("data:") :])
        if "error" in value:
            raise ServerError(_message(value["error"]), status=200)
        return _event(value)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ServerError("the server's stream is not that of a chat completion") from None


def _event(value: Mapping[str, Any]) -> Event | None:
    usage = value.get("usage")
    used = None if not usage else (int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
    choice = next((choice for choice in value.get("choices") or () if choice.get("index", 0) == 0), None)
    if choice is None:
        return None if used is None else Event(usage=used)
    delta = choice.get("delta") or {}
    # Some servers call it by the one name, some by the other.
    thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return Event(
        content=str(delta.get("content") or ""),
        reasoning=str(thought),
        calls=tuple(_call(place, call) for place, call in enumerate(delta.get("tool_calls") or ())),
        finish=choice.get("finish_reason"),
        usage=used,
    )


def _call(place: int, call: Mapping[str, Any]) -> CallPart:
    function = call.get("function") or {}
    return CallPart(
        index=int(call.get("index", place)),
        id=call.get("id"),
        name=str(function.get("name") or ""),
        arguments=str(function.get("arguments") or ""),
    )


def _message(error: Any) -> str:
    told = error.get("message") if isinstance(error, Mapping) else error
    return " ".join(str(told or "the server broke off").split())
