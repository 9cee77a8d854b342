"""Connections with bounds: on their number, and on the time that the head of a request may take."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from swift.config.serve import ServeLimits


def connection_class(limits: ServeLimits) -> type[asyncio.Protocol]:
    """uvicorn's protocol with the limits `connections` and `head_seconds`."""

    class Connection(H11Protocol):
        """One connection."""

        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Take a connection, if there are not too many."""
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.abort()
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            """Read on; the head of a request must be whole in time."""
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self._waiting is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            """The client has left."""
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(limits.head_seconds, self._give_up)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _give_up(self) -> None:
            self._waiting = None
            if self.conn.their_state is h11.IDLE:
                self.transport.abort()

    return Connection
