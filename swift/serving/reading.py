"""Answers as messages, for requests that want them whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from swift.chat.growing import GrowingAnswer
from swift.chat.parse import AnswerReader
from swift.serving.guard import Visit
from swift.serving.service import Begun, Finished, Service
from swift.types import Message, Request


async def read_answers(
    service: Service,
    visit: Visit,
    request: Request,
    reader: AnswerReader,
    *,
    count: int = 1,
    tools: Sequence[Mapping[str, Any]] = (),
    guided: bool = False,
) -> list[tuple[Message, Finished]]:
    """All answers to a chat, in order.

    Args:
        service: The server's state.
        visit: For accounts.
        request: The chat.
        reader: How answers are read.
        count: How many answers.
        tools: What was offered.
        guided: The answer's form is prescribed, so that it has no thinking in front.

    Raises:
        ApiError: It cannot be answered.
    """
    opened = False
    found: dict[int, tuple[Message, Finished]] = {}
    async with aclosing(service.answers(visit, [request], count=count)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                opened = happened.opened and not guided
            elif isinstance(happened, Finished):
                growing = GrowingAnswer(reader, tools, opened=opened)
                growing.add(happened.completion.text)
                growing.finish()
                found[happened.index] = (growing.message, happened)
    return [found[index] for index in range(count)]
