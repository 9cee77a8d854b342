"""An engine that computes by itself, in a thread, for requests that come and go."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from swift.chat.codec import Codec
from swift.engines.base import AnyRequest, Listener
from swift.engines.hot import check_lora
from swift.errors import SwiftError
from swift.types import Ability


class Steps(Protocol):
    """An engine that computes when it is told to; see `TransformersEngine` and `EncoderEngine`."""

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""

    @property
    def ability(self) -> Ability:
        """What the model does."""

    @property
    def description(self) -> str:
        """One line for banners."""

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Take a request in, from any thread."""

    def cancel(self, ticket: int) -> None:
        """Stop answering it, from any thread."""

    def step(self) -> bool:
        """Compute one forward pass; returns whether there was anything to do."""

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load one more adapter, between two steps."""

    def unload_adapter(self, name: str) -> None:
        """Take no more requests for an adapter."""

    def fail(self, error: SwiftError) -> None:
        """Forget all requests, and tell each listener why."""


class Driver:
    """Makes an engine step for as long as there is something to do.

    Args:
        engine: Which nobody else steps from now on.
    """

    def __init__(self, engine: Steps) -> None:
        self._engine = engine
        self._wake = threading.Event()
        self._closed = False
        self._changes: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""
        return self._engine.codec

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return self._engine.adapters

    @property
    def description(self) -> str:
        """One line for banners."""
        return self._engine.description

    @property
    def ability(self) -> Ability:
        """What the model does."""
        return self._engine.ability

    @property
    def takes_chats(self) -> bool:
        """No: chats are rendered with the model's own template."""
        return False

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Answer a request; returns a number by which it can be cancelled.

        Args:
            request: What to answer; it is rendered in the caller's thread.
            listener: Who is told, in the engine's thread; at once where the request cannot be answered at all.
            pieces: Tell pieces too, not only the end.
        """
        ticket = self._engine.submit(request, listener, pieces=pieces)
        self._wake.set()
        return ticket

    def cancel(self, ticket: int) -> None:
        """Stop answering a request, if it is not answered yet."""
        self._engine.cancel(ticket)
        self._wake.set()

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load one more adapter, between two steps; waits for it.

        Raises:
            SwiftError: It cannot be used; everything is as before then.
        """
        check_lora(folder)  # reads the files while others are answered
        self._change(lambda: self._engine.load_adapter(name, folder))

    def unload_adapter(self, name: str) -> None:
        """Take no more requests for an adapter; those that it has are answered still.

        Raises:
            SwiftError: There is no such adapter.
        """
        self._change(lambda: self._engine.unload_adapter(name))

    def _change(self, work: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._changes.append((work, done))
        self._wake.set()
        if self._closed:
            raise SwiftError("the engine is shut down")
        done.result()

    def close(self) -> None:
        """Stop; requests that are not answered yet fail."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closed:
            self._wake.clear()
            self._make_changes()
            try:
                if not self._engine.step():
                    self._wake.wait()
            except Exception as error:
                # A defect of ours, or of a library: those who wait are told, and the next request may fare better.
                traceback.print_exc(file=sys.stderr)
                self._engine.fail(SwiftError(f"the engine failed: {type(error).__name__}"))
        self._engine.fail(SwiftError("the engine is shut down"))
        for _, done in self._changes:
            done.set_exception(SwiftError("the engine is shut down"))

    def _make_changes(self) -> None:
        while self._changes:
            work, done = self._changes.popleft()
            try:
                work()
            except Exception as error:
                done.set_exception(error)  # raised where it is waited for
            else:
                done.set_result(None)
