"""Waiting for an engine whose requests come and go: all of several answers, or the pieces of one."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from swift.engines.base import AnyRequest, Event, Listener, Live, OnDone, Piece
from swift.errors import RowError, SwiftError
from swift.types import Completion, Encoded, EncodeRequest, Request

T = TypeVar("T", Completion, Encoded)


def answer_all(live: Live, requests: Sequence[Request], on_done: OnDone | None = None) -> list[Completion | RowError]:
    """The answers, in order; a RowError in place of one that cannot be given.

    Args:
        on_done: Called in this thread with number and answer as each is finished.

    Raises:
        SwiftError: The engine cannot go on; what is not answered yet is cancelled.
    """
    return _all(live, requests, Completion, on_done)


def numbers_of_all(
    live: Live, requests: Sequence[EncodeRequest], on_done: Callable[[int], None] | None = None
) -> list[Encoded | RowError]:
    """The numbers, in order; a RowError in place of those that cannot be given.

    Args:
        on_done: Called in this thread with the number of each request that is finished.

    Raises:
        SwiftError: The engine cannot go on; what is not answered yet is cancelled.
    """
    told = None if on_done is None else lambda number, _: on_done(number)
    return _all(live, requests, Encoded, told)


def _all(
    live: Live, requests: Sequence[AnyRequest], kind: type[T], on_done: Callable[[int, T], None] | None
) -> list[T | RowError]:
    events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()

    def listener(number: int) -> Listener:
        return lambda event: None if isinstance(event, Piece) else events.put((number, event))

    tickets: dict[int, int] = {}
    results: dict[int, T | RowError] = {}
    try:
        for number, request in enumerate(requests):
            tickets[number] = live.submit(request, listener(number), pieces=False)
        while len(results) < len(requests):
            number, event = events.get()
            del tickets[number]
            if isinstance(event, kind):
                results[number] = event
                if on_done is not None:
                    on_done(number, event)
            elif isinstance(event, RowError):
                results[number] = event
            else:
                assert isinstance(event, SwiftError)
                raise event
    finally:
        for ticket in tickets.values():
            live.cancel(ticket)
    return [results[number] for number in range(len(requests))]


def pieces(live: Live, request: Request, on_done: OnDone | None = None) -> Iterator[str]:
    """The text of an answer as it is made; who stops asking cancels it.

    Args:
        on_done: Called once, at the end, with 0 and the whole answer.

    Raises:
        RowError: The request cannot be answered.
        SwiftError: The engine cannot go on.
    """
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    ticket = live.submit(request, events.put)
    done = False
    try:
        while not done:
            event = events.get()
            if isinstance(event, Piece):
                if event.text:
                    yield event.text
                continue
            done = True
            if not isinstance(event, Completion):
                assert isinstance(event, RowError | SwiftError)
                raise event
            if on_done is not None:
                on_done(0, event)
    finally:
        if not done:
            live.cancel(ticket)
