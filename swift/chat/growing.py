"""A model's answer as it grows: what is certain of its thinking, words and calls, and nothing that may change.

However a text is cut into pieces, the parts that come out join to the same message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from swift.chat.early import CallEnded, EarlyCall, EarlyPart
from swift.chat.parse import AnswerReader
from swift.chat.tools.base import ToolFormat, Tools
from swift.types import Message, ToolCall

_Phase = Literal["start", "thinking", "behind"]
_THINK, _THINK_END = "<think>", "</think>"
_MOST_TRIES = 64
"""How many marks inside of what looks like a call are tried as its end; behind them, only the end of the answer is."""


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of thinking."""

    text: str


Part = Thought | str | ToolCall | EarlyPart
"""What a message grows by: thinking, words, a whole call, or, where that is wanted, a call piece by piece."""


class GrowingAnswer:
    """Reads one answer from left to right.

    Against `AnswerReader.read` it knows where the prompt ended. So thinking without an end is thinking, and a call
    that cannot be read does not take the readable ones before it with it.

    Args:
        reader: How this model answers.
        tools: What was offered; without any, what looks like a call is words.
        opened: The prompt ends inside an open `<think>`.
        early: Calls whose format allows it are told while they are written (`swift.chat.early`).

    Attributes:
        calls: How many calls came out so far.
    """

    def __init__(self, reader: AnswerReader, tools: Tools = (), *, opened: bool = False, early: bool = False) -> None:
        self._thinking = _Thinking(reader, opened=opened)
        form = reader.tool_format if tools else None
        self._words = _Words(form, tools, early=early)
        self._cut = None if form is None or form.anchored or reader.tagged else form
        self._parts: list[Part] = []
        self.calls = 0

    @property
    def message(self) -> Message:
        """All that came out so far, as an assistant's turn."""
        return Message(
            "assistant",
            "".join(part for part in self._parts if isinstance(part, str)),
            reasoning="".join(part.text for part in self._parts if isinstance(part, Thought)) or None,
            tool_calls=_calls(self._parts),
        )

    def add(self, text: str) -> list[Part]:
        """Take the next piece of the answer; returns what is certain now, in order."""
        thought, rest = self._thinking.add(text, self._cut)
        return self._noted(thought, self._words.add(rest) if rest else [])

    def finish(self) -> list[Part]:
        """No more text: returns all that was held back, in order."""
        thought, rest = self._thinking.finish()
        return self._noted(thought, [*self._words.add(rest), *self._words.finish()])

    def _noted(self, thought: str, said: list[Part]) -> list[Part]:
        parts: list[Part] = [Thought(thought)] if thought else []
        parts += [part for part in said if part]
        self._parts += parts
        self.calls += len(_calls(parts))
        return parts


def _calls(parts: Sequence[Part]) -> tuple[ToolCall, ...]:
    found = (part.call if isinstance(part, CallEnded) else part for part in parts)
    return tuple(part for part in found if isinstance(part, ToolCall))


class _Stripped:
    """Text without white space at its two ends, piece by piece."""

    def __init__(self) -> None:
        self.begun = False
        self._held = ""

    def take(self, piece: str) -> str:
        text = self._held + piece
        if not self.begun:
            text = text.lstrip()
        body = text.rstrip()
        self._held = text[len(body) :]
        self.begun = self.begun or bool(body)
        return body


class _Thinking:
    """Splits thinking off the beginning; what is behind it goes on to the words."""

    def __init__(self, reader: AnswerReader, *, opened: bool) -> None:
        dialect = reader.dialect
        self._tagged = reader.tagged
        self._phase: _Phase = "start"
        self._opened = opened and reader.tagged
        self._open = _THINK if reader.tagged else dialect.think_open.strip()
        self._close = _THINK_END if reader.tagged else dialect.think_close.strip()
        self._skip = "" if reader.tagged else dialect.answer_open.strip()
        self._text = _Stripped()
        self._rest = ""
        if dialect.reasoning == "inline" and not self._opened:
            self._phase = "behind"

    def add(self, text: str, cut: ToolFormat | None) -> tuple[str, str]:
        """Certain thinking, and what stands behind the thinking.

        Args:
            text: The next piece.
            cut: The format whose calls end thinking too, where thinking stands between marks of the template's own.
        """
        if self._phase == "behind":
            return "", text
        self._rest += text
        phase = self._begin() if self._phase == "start" else self._phase
        if phase == "thinking":
            return self._think(cut)
        return "", self._take() if phase == "behind" else ""

    def finish(self) -> tuple[str, str]:
        """What was held back, as thinking or as what stands behind it."""
        if self._phase == "thinking" or (self._phase == "start" and self._opened):
            return self._text.take(self._take()), ""
        self._phase = "behind"
        rest = self._take()
        body = rest.lstrip()
        return "", body[len(self._skip) :] if self._skip and body.startswith(self._skip) else rest

    def _take(self) -> str:
        rest, self._rest = self._rest, ""
        return rest

    def _begin(self) -> _Phase:
        """Decide, once it can be decided, whether the answer begins with thinking."""
        body = self._rest.lstrip()
        if not self._open:
            # Nothing tells thinking from an answer but the mark between them.
            self._phase = "thinking" if self._close in self._rest else "start"
        elif body.startswith(self._open):
            self._phase, self._rest = "thinking", body[len(self._open) :]
        elif self._open.startswith(body):
            return "start"
        elif self._skip and body.startswith(self._skip):
            self._phase, self._rest = "behind", body[len(self._skip) :]
        elif not self._skip.startswith(body):
            self._phase = "thinking" if self._opened else "behind"
        return self._phase

    def _think(self, cut: ToolFormat | None) -> tuple[str, str]:
        end = self._rest.find(self._close)
        call = -1 if cut is None else _call_at(self._rest if end < 0 else self._rest[:end], cut)
        if call >= 0:
            thought, self._rest = self._rest[:call], self._rest[call:]
        elif end >= 0:
            thought, self._rest = self._rest[:end], self._rest[end + len(self._close) :]
        else:
            held = _held(self._rest, (self._close, *(cut.opens if cut is not None else ())), cut)
            thought, self._rest = self._rest[:held], self._rest[held:]
            return self._text.take(thought), ""
        self._phase = "behind"
        return self._text.take(thought), self._take()


class _Words:
    """Takes calls out of words.

    A call is read once the mark of the next one is there, or the end. What stands around calls is joined by line
    breaks, as `ToolFormat.read` does.
    """

    def __init__(self, form: ToolFormat | None, tools: Tools, *, early: bool) -> None:
        self._form = form
        self._tools = tools
        self._wanted = early
        self._early: EarlyCall | None = None  # the call with which `_rest` begins, where it is told early
        self._piece = _Stripped()
        self._said = False
        self._rest = ""
        self._blank = True  # whether the line has only white space so far
        self._inside = False  # whether `_rest` begins with what looks like a call
        self._from = 0  # where the next mark in it is looked for
        self._tries = 0

    def add(self, text: str) -> list[Part]:
        if self._form is None:
            return [self._say(text)]
        self._rest += text
        parts: list[Part] = []
        while self._step(self._form, parts):
            pass
        if self._inside and self._early is not None:
            parts += self._early.add(self._rest)
        return parts

    def finish(self) -> list[Part]:
        parts: list[Part] = []
        if self._form is not None and self._inside:
            self._read(self._form, len(self._rest), parts)
            parts += self._end_early(())[0]
        rest, self._rest = self._rest, ""
        return [*parts, self._say(rest)]

    def _step(self, form: ToolFormat, parts: list[Part]) -> bool:
        """Decide over one more part of the text; false where more text is needed for that."""
        if self._inside:
            return self._end_call(form, parts)
        start, mark = self._next_call(form, 0)
        end = _held(self._rest, form.opens, form) if start < 0 else start
        words, self._rest = self._rest[:end], self._rest[end:]
        parts.append(self._say(words))
        self._note(words)
        if start < 0:
            return False
        self._inside, self._from, self._tries = True, mark - start + 1, 0
        self._early = EarlyCall(form, self._tools) if self._wanted else None
        return True

    def _end_call(self, form: ToolFormat, parts: list[Part]) -> bool:
        if self._tries >= _MOST_TRIES:
            return False
        start, mark = self._next_call(form, self._from)
        if start < 0:
            longest = max(len(mark) for mark in form.opens)
            self._from = max(self._from, len(self._rest) - longest + 1)
            return False
        self._from = mark + 1
        self._tries += 1
        self._read(form, start, parts)
        return True

    def _read(self, form: ToolFormat, end: int, parts: list[Part]) -> None:
        """Take the text up to `end` as calls, if it is; else leave it."""
        found = form.read(self._rest[:end], self._tools)
        if not found.calls:
            return
        ended, calls = self._end_early(found.calls)
        parts += [*ended, *calls]
        self._piece = _Stripped()
        parts.append(self._say(found.content))
        self._piece = _Stripped()
        self._note(self._rest[:end])
        self._rest, self._inside = self._rest[end:], False

    def _end_early(self, calls: Sequence[ToolCall]) -> tuple[list[EarlyPart], Sequence[ToolCall]]:
        """How the call that was told early ends, and those that were not told by it."""
        early, self._early = self._early, None
        return ([], calls) if early is None else early.end(calls)

    def _next_call(self, form: ToolFormat, begin: int) -> tuple[int, int]:
        """Where the next call may begin, and its mark; (-1, -1) where there is none."""
        at = begin
        while True:
            mark = min((found for opens in form.opens if (found := self._rest.find(opens, at)) >= 0), default=-1)
            if mark < 0:
                return -1, -1
            start = _lead(self._rest[:mark], form)
            if (start > 0 or begin == 0) and (not form.anchored or self._begins_line(start)):
                return start, mark
            at = mark + 1

    def _begins_line(self, at: int) -> bool:
        line = self._rest[:at].rpartition("\n")
        return not line[2].strip() and (bool(line[1]) or self._blank)

    def _note(self, text: str) -> None:
        _, broken, line = text.rpartition("\n")
        self._blank = not line.strip() and (bool(broken) or self._blank)

    def _say(self, text: str) -> str:
        """Words that are certain, with a line break before the first behind calls."""
        begun = self._piece.begun
        words = self._piece.take(text)
        if words and not begun and self._said:
            words = "\n" + words
        self._said = self._said or bool(words)
        return words


def _call_at(text: str, form: ToolFormat) -> int:
    """Where the first call may begin; -1 for none."""
    mark = min((found for opens in form.opens if (found := text.find(opens)) >= 0), default=-1)
    return mark if mark < 0 else _lead(text[:mark], form)


def _lead(text: str, form: ToolFormat | None) -> int:
    return len(text) if form is None or form.lead is None else form.lead(text)


def _held(text: str, marks: Sequence[str], form: ToolFormat | None) -> int:
    """From where on a text may turn out to be the beginning of a mark, or to belong to one."""
    longest = max((len(mark) for mark in marks), default=0)
    begin = max(0, len(text) - longest + 1)
    place = next((at for at in range(begin, len(text)) if any(mark.startswith(text[at:]) for mark in marks)), len(text))
    return _lead(text[:place], form)
