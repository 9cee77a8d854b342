"""The server's side of the pipe: starts the host, watches it, starts it again, and hands replies to who waits."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal

from swift.errors import SwiftError
from swift.serving.link import wire
from swift.serving.link.host import main as host_main
from swift.types import Request

State = Literal["loading", "ready", "down", "failed", "stopped"]

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before a host that has died is started again; each time without success in between, twice as long."""
_STEADY = 60.0
"""Seconds after which a host that dies is not taken for one that cannot live."""
_PATIENCE = 5.0
"""Seconds that a host gets to end by itself."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The host has died, or is stopping, and with it the request."""


@dataclass(frozen=True, slots=True)
class Late:
    """The request has taken longer than it may."""


Heard = wire.Reply | Lost | Late
Question = wire.Tokenize | wire.Detokenize | wire.Encode | wire.Judge | wire.LoadAdapter | wire.UnloadAdapter
Inbox = asyncio.Queue[Heard]


@dataclass(slots=True)
class _Host:
    """One life of the host."""

    process: SpawnProcess
    connection: Connection
    outgoing: queue.SimpleQueue[wire.Command | None]
    ended: asyncio.Event
    ready_at: float | None = None
    refused: SwiftError | None = None


class NotReadyError(Exception):
    """There is no host that could take a request."""


class HostedEngine:
    """An engine in a process of its own. Used from one event loop.

    Attributes:
        state: Whether requests can be taken.
        ready: What the host said of itself when it was last ready.
        failure: Why the host could not be started at all.
        restarts: How often it was started again.
    """

    def __init__(self, plan: wire.HostPlan, *, on_state: Callable[[State], None] | None = None) -> None:
        self.state: State = "loading"
        self.ready: wire.Ready | None = None
        self.failure: SwiftError | None = None
        self.restarts = 0
        self._stopping = asyncio.Event()
        self._plan = plan
        self._on_state = on_state
        self._numbers = itertools.count(1)
        self._inboxes: dict[int, tuple[Inbox, int]] = {}
        self._host: _Host | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The host's process; None where there is none."""
        return None if self._host is None else self._host.process.pid

    async def start(self) -> None:
        """Start the host; returns before it is ready."""
        self._watch = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """End the host; what it has not answered is lost."""
        self._stopping.set()
        self._change("stopped")
        host = self._host
        if host is not None:
            host.outgoing.put(wire.Stop())
            try:
                await asyncio.wait_for(host.ended.wait(), _PATIENCE)
            except TimeoutError:
                host.process.kill()
        elif self._watch is not None:
            self._watch.cancel()
        if self._watch is not None:
            await asyncio.gather(self._watch, return_exceptions=True)
        self._lose_all()

    def submit(self, request: Request, *, count: int, stream: bool, inbox: Inbox) -> int:
        """Ask for answers; what comes back goes into `inbox`.

        Returns:
            The number in the replies, by which it can be cancelled.

        Raises:
            NotReadyError: There is no host at the moment.
        """
        number = next(self._numbers)
        self._tell(wire.Submit(number, request, count, stream))
        self._inboxes[number] = (inbox, count)
        return number

    def cancel(self, number: int) -> None:
        """Stop answering; nothing more of it comes."""
        if self._inboxes.pop(number, None) is not None and self._host is not None:
            self._host.outgoing.put(wire.Cancel(number))

    def ask(self, make: Callable[[int], Question], inbox: Inbox) -> int:
        """Send a command with one reply, which goes into `inbox`; returns its number.

        Raises:
            NotReadyError: There is no host at the moment.
        """
        number = next(self._numbers)
        self._tell(make(number))
        self._inboxes[number] = (inbox, 1)
        return number

    def loaded(self, name: str, folder: Path, names: tuple[str, ...]) -> None:
        """Note that an adapter was loaded, so that a host that is started again has it too.

        Args:
            name: By which it is asked for.
            folder: Where it is.
            names: All that there are now.
        """
        self._plan = replace(self._plan, later={**self._plan.later, name: folder})
        self._named(names)

    def unloaded(self, name: str) -> None:
        """Note that an adapter is gone, or about to go."""
        plan = self._plan
        kept = {other: folder for other, folder in plan.plan.adapters.items() if other != name}
        later = {other: folder for other, folder in plan.later.items() if other != name}
        self._plan = replace(plan, plan=replace(plan.plan, adapters=kept), later=later)
        if self.ready is not None:
            self._named(tuple(other for other in self.ready.adapters if other != name))

    @property
    def lost(self) -> tuple[str, ...]:
        """Adapters that were loaded at run time, and that the host that is ready does not have."""
        return tuple(name for name in self._plan.later if self.ready is not None and name not in self.ready.adapters)

    def _named(self, names: tuple[str, ...]) -> None:
        if self.ready is not None:
            self.ready = replace(self.ready, adapters=names)

    def _tell(self, command: wire.Command) -> None:
        if self.state != "ready" or self._host is None:
            raise NotReadyError
        self._host.outgoing.put(command)

    def _change(self, state: State) -> None:
        self.state = state
        if self._on_state is not None:
            self._on_state(state)

    async def _supervise(self) -> None:
        wait = FIRST_WAIT
        while not self._stopping.is_set():
            host = await asyncio.to_thread(_launch, self._plan, asyncio.get_running_loop(), self._take)
            self._host = host
            await host.ended.wait()
            self._host = None
            await asyncio.to_thread(_end, host)
            if self._stopping.is_set():
                return
            if self.ready is None:
                self.failure = host.refused or SwiftError(
                    "the engine's process ended before the model was loaded",
                    hint="its last words are above; where there are none, memory may not have sufficed",
                )
            self._change("down" if self.ready is not None else "failed")
            self._lose_all()
            if self.ready is None:
                return
            if host.ready_at is not None and time.monotonic() - host.ready_at > _STEADY:
                wait = FIRST_WAIT
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            self.restarts += 1
            self._change("loading")

    def _take(self, host: _Host, replies: tuple[wire.Reply | wire.Report, ...]) -> None:
        for reply in replies:
            if isinstance(reply, wire.Ready):
                host.ready_at = time.monotonic()
                self.ready = reply
                if not self._stopping.is_set():
                    self._change("ready")
            elif isinstance(reply, wire.CannotStart):
                host.refused = SwiftError(reply.message, hint=reply.hint)
            else:
                self._deliver(reply)

    def _deliver(self, reply: wire.Reply) -> None:
        found = self._inboxes.get(reply.number)
        if found is None:
            return  # cancelled meanwhile
        inbox, left = found
        if isinstance(reply, wire.Finished):
            left -= 1
        elif not isinstance(reply, wire.Started | wire.Grew):
            left = 0
        if left:
            self._inboxes[reply.number] = (inbox, left)
        else:
            del self._inboxes[reply.number]
        inbox.put_nowait(reply)

    def _lose_all(self) -> None:
        inboxes, self._inboxes = self._inboxes, {}
        for inbox, _ in inboxes.values():
            inbox.put_nowait(Lost())

    def lose_all(self) -> None:
        """Give up every request, as when the time to finish has run out."""
        numbers = list(self._inboxes)
        if self._host is not None:
            for number in numbers:
                self._host.outgoing.put(wire.Cancel(number))
        self._lose_all()


def _launch(
    plan: wire.HostPlan,
    loop: asyncio.AbstractEventLoop,
    take: Callable[[_Host, tuple[wire.Reply | wire.Report, ...]], None],
) -> _Host:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=host_main, args=(theirs, plan), name="swift-engine", daemon=True)
    process.start()
    atexit.register(process.kill)  # it takes no signals, and must not outlive us
    theirs.close()
    host = _Host(process, ours, queue.SimpleQueue(), asyncio.Event())
    threading.Thread(target=_receive, args=(host, loop, take), daemon=True, name="engine-receive").start()
    threading.Thread(target=_send, args=(host,), daemon=True, name="engine-send").start()
    return host


def _receive(
    host: _Host,
    loop: asyncio.AbstractEventLoop,
    take: Callable[[_Host, tuple[wire.Reply | wire.Report, ...]], None],
) -> None:
    try:
        while True:
            loop.call_soon_threadsafe(take, host, host.connection.recv())
    except (EOFError, OSError):
        pass  # the host has gone
    except RuntimeError:
        return  # the event loop has gone
    host.outgoing.put(None)
    try:
        loop.call_soon_threadsafe(host.ended.set)
    except RuntimeError:
        return


def _send(host: _Host) -> None:
    while (command := host.outgoing.get()) is not None:
        try:
            host.connection.send(command)
        except (OSError, ValueError):
            return  # the host has gone; the receiving side tells


def _end(host: _Host) -> None:
    """Wait for the process to end, and make it."""
    host.process.join(_PATIENCE)
    if host.process.is_alive():
        host.process.kill()
        host.process.join()
    host.connection.close()
