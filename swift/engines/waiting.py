"""Waiting for an engine whose requests come and go: all of several answers, or the pieces of one."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence

from swift.engines.base import Event, Listener, Live, OnDone, Piece
from swift.errors import RowError
from swift.types import Completion, Encoded, Request


def answer_all(live: Live, requests: Sequence[Request], on_done: OnDone | None = None) -> list[Completion | RowError]:
    """The answers, in order; a RowError in place of one that cannot be given.

    Args:
        on_done: Called in this thread with number and answer as each is finished.

    Raises:
        SwiftError: The engine cannot go on; what is not answered yet is cancelled.
    """
    events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()

    def listener(number: int) -> Listener:
        return lambda event: None if isinstance(event, Piece) else events.put((number, event))

    tickets: dict[int, int] = {}
    results: dict[int, Completion | RowError] = {}
    try:
        for number, request in enumerate(requests):
            tickets[number] = live.submit(request, listener(number), pieces=False)
        while len(results) < len(requests):
            number, event = events.get()
            del tickets[number]
            if not isinstance(event, Completion | RowError):
                assert not isinstance(event, Piece | Encoded)
                raise event
            results[number] = event
            if on_done is not None and isinstance(event, Completion):
                on_done(number, event)
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
                assert not isinstance(event, Encoded)
                raise event
            if on_done is not None:
                on_done(0, event)
    finally:
        if not done:
            live.cancel(ticket)
