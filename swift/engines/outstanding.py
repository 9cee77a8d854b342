"""Requests that are under way at a server: by what number each is known, who is told, and how it is cancelled."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from swift.engines.base import Event, Listener, Piece
from swift.engines.link import Link
from swift.errors import EngineError, RowError, SwiftError

Tell = Callable[[Piece], None]
"""Passes on a piece of an answer."""

Work = Callable[[Tell], Coroutine[Any, Any, Event]]
"""Asks the server; returns how it ended, or raises a RowError or SwiftError, with which it ends, too."""


class Outstanding:
    """Follows requests. Safe to use from any thread.

    Args:
        link: The connection.
        server: The server's name, for errors.
    """

    def __init__(self, link: Link, server: str) -> None:
        self._link = link
        self._server = server
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._running: dict[int, tuple[concurrent.futures.Future[None], Listener]] = {}
        self._closed = False

    def begin(self, prepare: Callable[[], Work], listener: Listener) -> int:
        """Send a request; returns the number by which it can be cancelled.

        Args:
            prepare: Called at once. Where it raises a RowError or SwiftError, that is told, and nothing is sent.
            listener: Who is told, in the connection's thread.
        """
        ticket = next(self._numbers)
        try:
            work = prepare()
        except (RowError, SwiftError) as error:
            listener(error)
            return ticket
        if not self._spawned(ticket, work, listener):
            listener(closed())
        return ticket

    def _spawned(self, ticket: int, work: Work, listener: Listener) -> bool:
        """Whether a request is under way now: not where all was closed, be it while it was prepared."""
        with self._lock:
            if self._closed:
                return False
            self._running[ticket] = (self._link.spawn(self._follow(ticket, work)), listener)
            return True

    def cancel(self, ticket: int) -> None:
        """Forget a request, if it has not ended; its connection is closed."""
        with self._lock:
            running = self._running.pop(ticket, None)
        if running is not None:
            running[0].cancel()

    def close(self) -> bool:
        """Let all that is under way fail, and take no more; returns whether that was not done before."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            left = list(self._running)
        for ticket in left:
            self._tell(ticket, closed())
        return True

    async def _follow(self, ticket: int, work: Work) -> None:
        last: Event
        try:
            last = await work(lambda piece: self._tell(ticket, piece, more=True))
        except (RowError, SwiftError) as error:
            last = error
        except Exception as error:  # whatever it is, whoever waits for the answer must not wait forever
            last = EngineError(f"{self._server}: {type(error).__name__}: {error}")
        self._tell(ticket, last)

    def _tell(self, ticket: int, event: Event, *, more: bool = False) -> None:
        """Tell a listener, unless its request was cancelled."""
        with self._lock:
            if ticket not in self._running:
                return
            _, listener = self._running[ticket]
            if not more:
                del self._running[ticket]
            listener(event)


def closed() -> EngineError:
    """What is told of requests to an engine that is closed."""
    return EngineError("the engine was closed")
