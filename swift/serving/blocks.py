"""An answer as blocks of thinking, text and calls, as Anthropic's messages and OpenAI's responses have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from swift.chat.growing import Part, Thought
from swift.serving.wire import call_id
from swift.types import ToolCall


@dataclass(slots=True)
class Block:
    """One block.

    Attributes:
        place: Its number, from 0.
        thinking: It is thinking; else it is text, or a call.
        text: What it says so far.
        call: The function that it calls, with an id; None for thinking and text.
    """

    place: int
    thinking: bool = False
    text: str = ""
    call: ToolCall | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A block begins."""

    block: Block


@dataclass(frozen=True, slots=True)
class Said:
    """A block of thinking or text has grown."""

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
        blocks: Those so far; each but the last is whole.
    """

    blocks: list[Block] = field(default_factory=list)
    _open: Block | None = None

    def add(self, parts: Iterable[Part]) -> list[Step]:
        """Take what the answer has grown by."""
        steps: list[Step] = []
        for part in parts:
            if isinstance(part, ToolCall):
                steps += self.finish()
                block = self._new(call=part if part.id is not None else replace(part, id=call_id()))
                steps += [Opened(block), Closed(block)]
                self._open = None
            else:
                self._text(part, steps)
        return steps

    def finish(self) -> list[Step]:
        """Close what is open."""
        block, self._open = self._open, None
        return [] if block is None else [Closed(block)]

    def _text(self, part: Thought | str, steps: list[Step]) -> None:
        thinking = isinstance(part, Thought)
        text = part.text if isinstance(part, Thought) else part
        if self._open is None or self._open.thinking != thinking:
            steps += self.finish()
            # What sets words behind calls apart from those before them; a block of its own needs no such thing.
            text = text if thinking or not self.blocks else text.removeprefix("\n")
            self._open = self._new(thinking=thinking)
            steps.append(Opened(self._open))
        self._open.text += text
        steps.append(Said(self._open, text))

    def _new(self, *, thinking: bool = False, call: ToolCall | None = None) -> Block:
        block = Block(len(self.blocks), thinking, call=call)
        self.blocks.append(block)
        return block
