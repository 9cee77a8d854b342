"""What the page shows of a chat: one list of boxes a column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from swift.app.talk import Call, Reply, Turn


@dataclass(frozen=True, slots=True)
class Box:
    """One box of a column.

    Attributes:
        role: Who says it.
        turn: Number of the turn that it belongs to.
        text: Markdown; empty for a file.
        file: A path; empty for a text.
        title: Of a box that can be folded, such as thinking; empty for others.
        open: Whether such a box is unfolded.
        growing: Whether more of it comes.
    """

    role: Literal["user", "assistant"]
    turn: int
    text: str = ""
    file: str = ""
    title: str = ""
    open: bool = False
    growing: bool = False


def boxes(turns: Sequence[Turn], column: int) -> list[Box]:
    """What a column shows."""
    found: list[Box] = []
    for number, turn in enumerate(turns):
        found += [Box("user", number, file=file.path) for file in turn.files]
        if turn.text or not turn.files:
            found.append(Box("user", number, text=turn.text))
        reply = turn.replies[column]
        if reply is not None:
            found += _reply(reply, number)
    return found


def _reply(reply: Reply, number: int) -> Iterator[Box]:
    if reply.reasoning:
        thinks = reply.growing and not reply.content and not reply.calls
        title = "Thinking" if thinks else "Thoughts"
        yield Box("assistant", number, text=reply.reasoning, title=title, open=thinks, growing=thinks)
    if reply.content:
        yield Box("assistant", number, text=reply.content)
    for call in reply.calls:
        yield Box("assistant", number, text=_arguments(call), title=f"Calls {call.name}", open=True)
    if reply.error:
        yield Box("assistant", number, text=fenced(reply.error), title="Error", open=True)
    elif reply.finish == "stopped":
        yield Box("assistant", number, text="*(stopped)*")
    elif not reply.growing and not (reply.content or reply.calls):
        yield Box("assistant", number, text="*(an empty answer)*")
    elif reply.growing and not (reply.content or reply.reasoning or reply.calls):
        yield Box("assistant", number, text="…")


def _arguments(call: Call) -> str:
    """The arguments, laid out where they are whole."""
    try:
        text = orjson.dumps(orjson.loads(call.arguments or "{}"), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        text = call.arguments
    return fenced(text, "json")


def fenced(text: str, language: str = "") -> str:
    """A text as Markdown that shows it as it is, whatever it holds."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def note(reply: Reply | None) -> str:
    """Tokens and speed of a reply in one line; empty where nothing is known."""
    if reply is None or reply.error or reply.first is None:
        return ""
    parts = [reply.model]
    if reply.usage is not None:
        prompt, answer = reply.usage
        parts += [f"{prompt} + {answer} tokens"]
        if answer > 1 and reply.seconds > reply.first:
            # The first token comes with the prompt; the others are what the model writes.
            parts.append(f"{(answer - 1) / (reply.seconds - reply.first):.1f} tokens/s")
    parts.append(f"first after {reply.first:.1f} s")
    if reply.finish == "length":
        parts.append("cut off at the longest answer")
    return " · ".join(parts)


def turn_at(turns: Sequence[Turn], column: int, index: int) -> int | None:
    """The turn of a box by its place in the column; None where there is no such box."""
    found = boxes(turns, column)
    return found[index].turn if 0 <= index < len(found) else None
