"""An answer as blocks of thinking, text and calls, as Anthropic's messages and OpenAI's responses have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from swift.chat.early import CallBegun, CallEnded, CallGrew
from swift.chat.growing import Part, Thought
from swift.serving.http import json_text
from swift.serving.wire import call_id
from swift.types import ToolCall


@dataclass(slots=True)
class Block:
    """One block.

    Attributes:
        place: Its number, from 0.
        thinking: It is thinking; else it is text, or a call.
        text: What it says so far; of a call, the JSON of its arguments.
        call: The function that it calls, with an id; None for thinking and text. While the block is open it may have
            no arguments yet.
        broken: It turned out not to be a call; what it says follows as text.
    """

    place: int
    thinking: bool = False
    text: str = ""
    call: ToolCall | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A block begins."""

    block: Block


@dataclass(frozen=True, slots=True)
class Said:
    """A block has grown."""

    block: Block
    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A block is whole."""

    block: Block


Step = Opened | Said | Closed


@dataclass(slots=True)
class Blocks:
    """Puts the parts of an answer into blocks.

    Attributes:
        blocks: Those so far; each but the last is whole, or broken.
    """

    blocks: list[Block] = field(default_factory=list)
    _open: Block | None = None

    def add(self, parts: Iterable[Part]) -> list[Step]:
        """Take what the answer has grown by."""
        steps: list[Step] = []
        for part in parts:
            if isinstance(part, ToolCall):
                steps += [*self._begin(part), *self._grow(json_text(part.arguments)), *self.finish()]
            elif isinstance(part, CallBegun):
                steps += self._begin(ToolCall(part.name, {}, part.id))
            elif isinstance(part, CallGrew):
                steps += self._grow(part.text)
            elif isinstance(part, CallEnded):
                self._end(part.call)
                steps += self.finish()
            else:
                self._text(part, steps)
        return steps

    def finish(self) -> list[Step]:
        """Close what is open."""
        block, self._open = self._open, None
        return [] if block is None else [Closed(block)]

    def _begin(self, call: ToolCall) -> list[Step]:
        steps = self.finish()
        self._open = self._new(call=call if call.id is not None else replace(call, id=call_id()))
        return [*steps, Opened(self._open)]

    def _grow(self, text: str) -> list[Step]:
        assert self._open is not None
        self._open.text += text
        return [Said(self._open, text)]

    def _end(self, call: ToolCall | None) -> None:
        block = self._open
        assert block is not None
        assert block.call is not None
        block.broken = call is None
        if call is not None:
            block.call = replace(call, id=block.call.id)

    def _text(self, part: Thought | str, steps: list[Step]) -> None:
        thinking = isinstance(part, Thought)
        text = part.text if isinstance(part, Thought) else part
        if self._open is None or self._open.thinking != thinking:
            steps += self.finish()
            if not thinking and self.blocks and not self.blocks[-1].broken:
                # What sets words behind calls apart from those before them; a block of its own needs no such thing.
                text = text.removeprefix("\n")
            self._open = self._new(thinking=thinking)
            steps.append(Opened(self._open))
        steps += self._grow(text)

    def _new(self, *, thinking: bool = False, call: ToolCall | None = None) -> Block:
        block = Block(len(self.blocks), thinking, call=call)
        self.blocks.append(block)
        return block
