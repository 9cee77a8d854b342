"""The engine host: the process that holds the model. It does what comes over the pipe until the pipe ends."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from typing import cast

from swift.chat.parse import reader_of
from swift.data.plugins import load_plugins
from swift.engines.base import Event, Live, Piece
from swift.errors import RowError, SwiftError
from swift.serving.link import wire
from swift.serving.link.gather import Gatherings, size_of
from swift.serving.link.prompts import Prompts
from swift.types import Completion, Conversation, Ids, Request, Text

_LARGE = 65_536
"""Characters of a prompt from which on it is rendered apart, so that small ones do not wait for it."""
_AT_ONCE = 256
"""Replies that go through the pipe together, at most."""

_Work = wire.Submit | wire.Encode | wire.Judge | wire.Tokenize | wire.Detokenize | wire.LoadAdapter | wire.UnloadAdapter
Loader = Callable[[wire.HostPlan], Live]


def main(connection: Connection, plan: wire.HostPlan) -> None:
    """Run the host; returns when the server has gone or says so.

    Signals go to the whole group of processes; this one ends when the server lets go of the pipe.

    Args:
        connection: To the server.
        plan: What to load.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        load_plugins(plan.plugins)
        live = loader_of(plan.loader)(plan)
    except SwiftError as error:
        connection.send((wire.CannotStart(error.message, error.hint),))
        return
    Host(connection, live, plan).run()
    # Threads of libraries must not keep a process alive that nobody talks to any more.
    sys.stderr.flush()
    os._exit(0)


def loader_of(name: str) -> Loader:
    """The function behind "module:function"."""
    module, _, function = name.partition(":")
    return cast(Loader, getattr(import_module(module), function))


class Host:
    """Answers commands with a live engine.

    Args:
        connection: To the server.
        live: The engine.
        plan: What was loaded, and limits.
    """

    def __init__(self, connection: Connection, live: Live, plan: wire.HostPlan) -> None:
        self._connection = connection
        self._live = live
        self._prompts = Prompts(live.codec, plan, chats=live.takes_chats)
        self._outgoing: queue.SimpleQueue[wire.Reply | wire.Report] = queue.SimpleQueue()
        self._gatherings = Gatherings(live, self._prompts, self._outgoing.put)
        self._lock = threading.Lock()
        self._tickets: dict[int, list[int]] = {}
        self._left: dict[int, int] = {}
        self._small = ThreadPoolExecutor(2, thread_name_prefix="render")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="render-large")
        self._loads = ThreadPoolExecutor(1, thread_name_prefix="adapters")  # one after another
        self._later = plan.later

    def run(self) -> None:
        """Serve until the pipe ends or `Stop` comes."""
        codec = self._live.codec
        self._load_again()
        self._outgoing.put(
            wire.Ready(
                description=self._live.description,
                adapters=self._live.adapters,
                vocabulary=codec.vocab_size,
                reader=reader_of(codec),
                template=bool(codec.template.source) or self._live.takes_chats,
                thinks=codec.template.reads("enable_thinking"),
                ability=self._live.ability,
            )
        )
        threading.Thread(target=self._send, daemon=True, name="send").start()
        while True:
            try:
                command: wire.Command = self._connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(command, wire.Stop):
                break
            self._take(command)
        self._live.close()

    def _send(self) -> None:
        while True:
            replies = [self._outgoing.get()]
            while len(replies) < _AT_ONCE and not self._outgoing.empty():
                replies.append(self._outgoing.get())
            try:
                self._connection.send(tuple(replies))
            except OSError:
                return  # the server has gone; `run` sees that too

    def _load_again(self) -> None:
        """Load what an earlier host had; an adapter that has been broken since is told of and left out."""
        for name, folder in self._later.items():
            try:
                self._live.load_adapter(name, folder)
            except SwiftError as error:
                print(f"the adapter {name}: {error.message}", file=sys.stderr, flush=True)

    def _take(self, command: _Work | wire.Cancel) -> None:
        if isinstance(command, wire.Cancel):
            self._cancel(command.number)
            self._gatherings.cancel(command.number)
            return
        if isinstance(command, wire.LoadAdapter | wire.UnloadAdapter):
            self._loads.submit(self._guarded, command.number, partial(self._change, command))
            return
        if isinstance(command, wire.Submit):
            with self._lock:
                self._tickets[command.number] = []
                self._left[command.number] = command.count
            size = prompt_size(command.request)
            work = partial(self._submit, command)
        elif isinstance(command, wire.Encode | wire.Judge):
            self._gatherings.expect(command)
            size = size_of(command)
            work = partial(self._gatherings.work, command)
        else:
            size = len(command.ids) if isinstance(command, wire.Detokenize) else _size(command.prompt)
            work = partial(self._tokens, command)
        (self._large if size > _LARGE else self._small).submit(self._guarded, command.number, work)

    def _guarded(self, number: int, work: Callable[[], None]) -> None:
        """Do something for a request; whatever goes wrong is told to the server."""
        try:
            work()
        except RowError as error:
            self._fail(wire.Refused(number, error.reason, error.detail))
        except SwiftError as error:
            self._fail(wire.Refused(number, "unusable", error.message))
        except Exception as error:
            traceback.print_exc()
            self._fail(wire.Broken(number, f"{type(error).__name__}: {error}"))

    def _change(self, command: wire.LoadAdapter | wire.UnloadAdapter) -> None:
        if isinstance(command, wire.LoadAdapter):
            self._live.load_adapter(command.name, command.folder)
        else:
            self._live.unload_adapter(command.name)
        self._outgoing.put(wire.Adapters(command.number, self._live.adapters))

    def _submit(self, command: wire.Submit) -> None:
        rendered = self._prompts.render(command.request.prompt)
        number, rules = command.number, command.request.sampling
        tokens = len(rendered.prompt.ids) if isinstance(rendered.prompt, Ids) else 0
        self._outgoing.put(wire.Started(number, rendered.opened, tokens))
        for index in range(command.count):
            seed = None if rules.seed is None else rules.seed + index
            request = replace(command.request, prompt=rendered.prompt, sampling=replace(rules, seed=seed))
            with self._lock:
                if number not in self._tickets:
                    return  # cancelled meanwhile
            ticket = self._live.submit(request, partial(self._heard, command, index), pieces=command.stream)
            with self._lock:
                tickets = self._tickets.get(number)
                if tickets is not None:
                    tickets.append(ticket)
            if tickets is None:
                self._live.cancel(ticket)

    def _heard(self, command: wire.Submit, index: int, event: Event) -> None:
        number = command.number
        if isinstance(event, Piece):
            self._outgoing.put(wire.Grew(number, index, event))
            return
        if isinstance(event, Completion):
            with self._lock:
                left = self._left.get(number, 1) - 1
                self._left[number] = left
                if left <= 0:
                    self._left.pop(number, None)
                    self._tickets.pop(number, None)
            stop = self._prompts.stop_of(event, command.request.sampling)
            self._outgoing.put(wire.Finished(number, index, event, stop))
        elif isinstance(event, RowError):
            self._fail(wire.Refused(number, event.reason, event.detail))
        else:
            assert isinstance(event, SwiftError)
            self._fail(wire.Broken(number, event.message))

    def _fail(self, reply: wire.Refused | wire.Broken) -> None:
        """Tell that a request has failed; its other answers are not needed any more."""
        self._cancel(reply.number)
        self._outgoing.put(reply)

    def _cancel(self, number: int) -> None:
        with self._lock:
            self._left.pop(number, None)
            tickets = self._tickets.pop(number, [])
        for ticket in tickets:
            self._live.cancel(ticket)

    def _tokens(self, command: wire.Tokenize | wire.Detokenize) -> None:
        if isinstance(command, wire.Detokenize):
            self._outgoing.put(wire.Detokenized(command.number, self._prompts.text(command.ids)))
        else:
            ids = self._prompts.ids(command.prompt, special=command.special)
            texts = tuple(self._prompts.text((token,)) for token in ids) if command.texts else None
            self._outgoing.put(wire.Tokenized(command.number, ids, texts))


def prompt_size(request: Request) -> int:
    """Characters of a request's prompt, roughly; token ids count as one each."""
    return _size(request.prompt)


def _size(prompt: object) -> int:
    if isinstance(prompt, Conversation):
        return sum(len(message.content) for message in prompt.messages)
    return len(prompt.text) if isinstance(prompt, Text) else 0
