"""Whether a span of text has all that the assistant said, and where its stop token is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from swift.chat import reasons
from swift.errors import RowError
from swift.types import Message


def said_pieces(message: Message) -> list[str]:
    """What an assistant turn says, piece by piece: thinking, text, names and values of tool calls."""
    pieces = [(message.reasoning or "").strip(), message.content.strip()]
    for call in message.tool_calls:
        pieces.append(call.name)
        pieces.extend(_leaves(call.arguments))
    return [piece for piece in pieces if piece]


def require_said(span: str, message: Message, index: int) -> None:
    """Check that a span has all that the assistant said.

    Raises:
        RowError: The answer, the thinking or a tool call is not in it.
    """
    if message.content.strip() not in span:
        raise RowError(reasons.ANSWER_LOST, f"message {index + 1}: the template does not show its text")
    if message.reasoning is not None and message.reasoning.strip() not in span:
        raise RowError(
            reasons.REASONING_LOST,
            f"message {index + 1}: the template does not show its thinking; thinking: strip trains without it",
        )
    for call in message.tool_calls:
        for piece in (call.name, *_leaves(call.arguments)):
            if not appears(piece, span):
                raise RowError(
                    reasons.TOOL_CALL_LOST,
                    f"message {index + 1}: the template does not show {piece!r} of the call of {call.name!r}",
                )


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value
    # Numbers, true, false and null are written in too many ways (1.0, True, None) to be looked for.


def appears(piece: str, text: str) -> bool:
    """Whether `piece` stands in `text`, as it is or as JSON or Python writes it inside quotes."""
    if piece in text or piece.strip() in text:
        return True
    inner = json.dumps(piece, ensure_ascii=False)[1:-1]
    written = (inner, json.dumps(piece)[1:-1], json.dumps(inner, ensure_ascii=False)[1:-1], piece.replace("'", "\\'"))
    return any(form in text for form in written)


def count_stops(text: str, stops: Sequence[str]) -> int:
    """How often one of `stops` stands in `text`."""
    return sum(text.count(stop) for stop in stops)


def nth_stop(text: str, stops: Sequence[str], number: int) -> int | None:
    """Where the stop token ends before which `number` others stand; None where there are fewer."""
    at = 0
    for _ in range(number + 1):
        places = [(place, len(stop)) for stop in stops if (place := text.find(stop, at)) >= 0]
        if not places:
            return None
        place, size = min(places)
        at = place + size
    return at
