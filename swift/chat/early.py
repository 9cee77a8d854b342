"""Calls of functions while they are written: name first, then the text of the arguments as it comes.

A call is begun once its name is that of a function which is offered, and the `{` of its arguments is there. Whether it
is one is known only at its end, as for calls that are told whole; one that is not then has ended without a call.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from swift.chat.tools.base import ToolFormat, Tools
from swift.types import ToolCall


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A call begins. Its id is None where the model gives none."""

    name: str
    id: str | None


@dataclass(frozen=True, slots=True)
class CallGrew:
    """The next piece of its arguments' JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """It is whole; or, with None, it was no call, and its text follows as words."""

    call: ToolCall | None


EarlyPart = CallBegun | CallGrew | CallEnded


class EarlyCall:
    """Follows the first call of a text that begins with the mark of one.

    Args:
        form: How calls are written.
        tools: What is offered.
    """

    def __init__(self, form: ToolFormat, tools: Tools) -> None:
        self._begins = form.begins
        self._names = {tool.get("function", tool).get("name") for tool in tools}
        self._object = _Object()
        self._begun: CallBegun | None = None
        self._at = 0
        self._text = ""

    def add(self, text: str) -> list[EarlyPart]:
        """What is new.

        Args:
            text: All of it so far.
        """
        parts: list[EarlyPart] = []
        if self._begun is None:
            match = None if self._begins is None else self._begins.match(text)
            if match is None:
                return []
            found = match.groupdict()
            if found["name"] not in self._names:
                self._begins = None
                return []
            self._begun = CallBegun(found["name"], found.get("id"))
            self._at = match.end()
            parts.append(self._begun)
        piece = self._object.take(text[self._at :])
        self._at = len(text)
        self._text += piece
        return [*parts, CallGrew(piece)] if piece else parts

    def end(self, calls: Sequence[ToolCall]) -> tuple[list[EarlyPart], Sequence[ToolCall]]:
        """No more text: how the call ended, and the calls that were not told by it.

        Args:
            calls: What the whole text has turned out to be.
        """
        if self._begun is None:
            return [], calls
        if calls and self._object.closed and self._is(calls[0]):
            return [CallEnded(calls[0])], calls[1:]
        return [CallEnded(None)], calls

    def _is(self, call: ToolCall) -> bool:
        assert self._begun is not None
        if (call.name, call.id) != (self._begun.name, self._begun.id):
            return False
        try:
            return bool(json.loads(self._text) == call.arguments)
        except ValueError:
            return False


class _Object:
    """Finds the end of a JSON object."""

    def __init__(self) -> None:
        self.closed = False
        self._depth = 0
        self._string = False
        self._escaped = False

    def take(self, text: str) -> str:
        """As much of the next piece as belongs to the object."""
        if self.closed:
            return ""
        for place, character in enumerate(text):
            if self._string:
                self._in_string(character)
            elif character == '"':
                self._string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if not self._depth:
                    self.closed = True
                    return text[: place + 1]
        return text

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._string = False
