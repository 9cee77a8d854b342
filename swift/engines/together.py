"""Answering and waiting for it, over an engine that computes when it is told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from swift.engines.base import Event, Listener, OnDone, Piece
from swift.errors import RowError, SwiftError
from swift.types import Completion, Request


class Stepping(Protocol):
    """An engine that computes when it is told to."""

    def submit(self, request: Request, listener: Listener, *, pieces: bool = True) -> int:
        """Take a request in."""

    def cancel(self, ticket: int) -> None:
        """Stop answering it."""

    def settle(self) -> None:
        """Take in what arrived, forget what was cancelled; computes nothing."""

    def step(self) -> bool:
        """Compute one forward pass; returns whether there was anything to do."""


def answer_all(
    engine: Stepping, requests: Sequence[Request], on_done: OnDone | None = None
) -> list[Completion | RowError]:
    """One item a request, in order; a RowError for a request that cannot be answered.

    Args:
        on_done: Called with number and answer as each one is finished.

    Raises:
        SwiftError: Something went wrong that is no request's own mistake.
    """
    results: dict[int, Completion | RowError] = {}
    broken: list[SwiftError] = []

    def listener(number: int) -> Listener:
        def hear(event: Event) -> None:
            if isinstance(event, SwiftError):
                broken.append(event)
            elif isinstance(event, Completion | RowError):
                results[number] = event
                if on_done is not None and isinstance(event, Completion):
                    on_done(number, event)

        return hear

    tickets = [engine.submit(request, listener(number), pieces=False) for number, request in enumerate(requests)]
    try:
        while len(results) < len(requests) and not broken:
            engine.step()
    finally:
        if len(results) < len(requests):
            _cancel(engine, tickets)
    if broken:
        raise broken[0]
    return [results[number] for number in range(len(requests))]


def answer_stream(engine: Stepping, request: Request, on_done: OnDone | None = None) -> Iterator[str]:
    """The answer in pieces of valid text as it is made; they join to the completion's text.

    Args:
        on_done: Called once, at the end, with 0 and the whole answer.

    Raises:
        RowError: The request cannot be answered.
        SwiftError: Something went wrong that is not its own mistake.
    """
    events: deque[Event] = deque()
    ticket = engine.submit(request, events.append)
    ended = False
    try:
        while not ended:
            while not events:
                engine.step()
            event = events.popleft()
            ended = not isinstance(event, Piece)
            if isinstance(event, Piece):
                if event.text:
                    yield event.text
            elif isinstance(event, Completion):
                if on_done is not None:
                    on_done(0, event)
            else:
                assert isinstance(event, RowError | SwiftError)
                raise event
    finally:
        if not ended:
            _cancel(engine, [ticket])


def _cancel(engine: Stepping, tickets: Sequence[int]) -> None:
    for ticket in tickets:
        engine.cancel(ticket)
    engine.settle()
