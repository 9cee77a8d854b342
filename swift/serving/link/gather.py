"""The host's side of commands with several prompts: each to the engine, and all that came back as one reply."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from swift.engines.base import Event, Live, Piece
from swift.errors import RowError, SwiftError
from swift.serving.link import wire
from swift.serving.link.prompts import Prompts
from swift.types import Conversation, Echo, EchoRequest, Encoded, EncodeRequest, Ids, TextPair

Command = wire.Encode | wire.Judge
"""A command with several prompts."""


@dataclass(slots=True)
class _Running:
    """A command under way: tickets of its prompts, and what came back so far."""

    tickets: list[int] = field(default_factory=list)
    found: dict[int, Encoded | Echo] = field(default_factory=dict)


class Gatherings:
    """Answers commands with several prompts.

    Args:
        live: The engine.
        prompts: Checks prompts.
        tell: Sends a reply.
    """

    def __init__(self, live: Live, prompts: Prompts, tell: Callable[[wire.Reply], None]) -> None:
        self._live = live
        self._prompts = prompts
        self._tell = tell
        self._lock = threading.Lock()
        self._running: dict[int, _Running] = {}

    def expect(self, command: Command) -> None:
        """Note a command, so that it can be cancelled."""
        with self._lock:
            self._running[command.number] = _Running()

    def work(self, command: Command) -> None:
        """Hand its prompts to the engine.

        Raises:
            RowError: One of them may not be asked.
        """
        try:
            requests = [self._checked(request) for request in command.requests]
        except (RowError, SwiftError):
            self.cancel(command.number)
            raise
        for index, request in enumerate(requests):
            with self._lock:
                if command.number not in self._running:
                    return  # cancelled, or failed meanwhile
            ticket = self._live.submit(request, partial(self._heard, command, index), pieces=False)
            with self._lock:
                running = self._running.get(command.number)
                if running is not None:
                    running.tickets.append(ticket)
            if running is None:
                self._live.cancel(ticket)

    def cancel(self, number: int) -> None:
        """Forget a command."""
        with self._lock:
            running = self._running.pop(number, None)
        for ticket in running.tickets if running is not None else ():
            self._live.cancel(ticket)

    def _checked(self, request: EncodeRequest | EchoRequest) -> EncodeRequest | EchoRequest:
        """A request as the engine gets it.

        Raises:
            RowError: It may not be asked.
        """
        if isinstance(request, EchoRequest):
            return replace(request, prompt=self._prompts.render(request.prompt).prompt)
        if not isinstance(request.prompt, TextPair):
            self._prompts.require(request.prompt)
        return request

    def _heard(self, command: Command, index: int, event: Event) -> None:
        number = command.number
        if isinstance(event, Encoded | Echo):
            with self._lock:
                running = self._running.get(number)
                if running is None:
                    return
                running.found[index] = event
                if len(running.found) < len(command.requests):
                    return
                del self._running[number]
            self._tell(_reply(number, [running.found[place] for place in range(len(running.found))]))
        elif isinstance(event, RowError):
            place = f"input {index}: " if len(command.requests) > 1 else ""
            self._fail(wire.Refused(number, event.reason, place + event.detail))
        elif isinstance(event, SwiftError):
            self._fail(wire.Broken(number, event.message))
        elif not isinstance(event, Piece):
            self._fail(wire.Broken(number, "the engine has answered in words"))

    def _fail(self, reply: wire.Refused | wire.Broken) -> None:
        with self._lock:
            known = reply.number in self._running
        if known:
            self.cancel(reply.number)
            self._tell(reply)


def _reply(number: int, found: Sequence[Encoded | Echo]) -> wire.Numbers | wire.Judged:
    """All that came back: of one kind, as what was asked is."""
    echoes = tuple(item for item in found if isinstance(item, Echo))
    if echoes:
        return wire.Judged(number, echoes)
    return wire.Numbers(number, tuple(item for item in found if isinstance(item, Encoded)))


def size_of(command: Command) -> int:
    """Characters of all prompts, roughly."""
    size = 0
    for request in command.requests:
        prompt = request.prompt
        if isinstance(prompt, TextPair):
            size += len(prompt.query) + len(prompt.document)
        elif isinstance(prompt, Conversation):
            size += sum(len(message.content) for message in prompt.messages)
        else:
            size += len(prompt.ids) if isinstance(prompt, Ids) else len(prompt.text)
    return size
