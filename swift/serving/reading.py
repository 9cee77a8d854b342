"""From the events of answers to messages and blocks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from swift.chat.growing import GrowingAnswer
from swift.chat.parse import AnswerReader
from swift.serving.blocks import Blocks, Step
from swift.serving.chat.convert import Asked
from swift.serving.guard import Visit
from swift.serving.service import Begun, Finished, Service


@dataclass(slots=True)
class Reading:
    """One answer while it is read.

    Attributes:
        growing: What it says.
        blocks: The same in blocks.
        tokens: Those of the prompt, as far as they are known before the end.
        done: How it ended; None before.
    """

    growing: GrowingAnswer
    blocks: Blocks = field(default_factory=Blocks)
    tokens: int = 0
    done: Finished | None = None

    @property
    def ending(self) -> Finished:
        """How it ended; only when it has."""
        assert self.done is not None
        return self.done

    @property
    def calls(self) -> bool:
        """Whether functions are called."""
        return self.growing.calls > 0


async def read_answers(service: Service, visit: Visit, work: Asked, reader: AnswerReader) -> list[Reading]:
    """All answers to a chat, whole and in order.

    Args:
        service: The server's state.
        visit: For accounts.
        work: The chat.
        reader: How answers are read.

    Raises:
        ApiError: It cannot be answered.
    """
    readings: list[Reading] = []
    async with aclosing(service.answers(visit, [work.request], count=work.count)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                readings = begun(work, reader, happened)
            elif isinstance(happened, Finished):
                reading = readings[happened.index]
                reading.done = happened
                reading.blocks.add(reading.growing.add(happened.completion.text))
                reading.blocks.add(reading.growing.finish())
    return readings


async def read_stream(
    service: Service, visit: Visit, work: Asked, reader: AnswerReader
) -> AsyncGenerator[tuple[Reading, list[Step]], None]:
    """One answer as it is made: each time, the answer so far and what is new; arguments as of `read_answers`.

    Raises:
        ApiError: It cannot be answered, or not to its end.
    """
    readings: list[Reading] = []
    async with aclosing(service.answers(visit, [work.request], stream=True)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                readings = begun(work, reader, happened, early=True)
                continue
            reading = readings[0]
            if isinstance(happened, Finished):
                reading.done = happened
                yield reading, [*reading.blocks.add(reading.growing.finish()), *reading.blocks.finish()]
            else:
                yield reading, reading.blocks.add(reading.growing.add(happened.piece.text))


def begun(work: Asked, reader: AnswerReader, event: Begun, *, early: bool = False) -> list[Reading]:
    """The answers to a chat whose prompt is rendered, before they say anything.

    Args:
        work: The chat.
        reader: How answers are read.
        event: What is known of the prompt.
        early: Calls are told while they are written.
    """
    opened = event.opened and not work.guided
    return [
        Reading(GrowingAnswer(reader, work.tools, opened=opened, early=early), tokens=event.tokens)
        for _ in range(work.count)
    ]
