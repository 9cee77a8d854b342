"""Prompts whose own tokens are judged, beside requests that are answered: those of one adapter together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from swift.chat.codec import Codec
from swift.engines.base import Listener
from swift.engines.chances import Tally
from swift.engines.entry import logprobs
from swift.engines.lanes import Limits
from swift.engines.scorer import Scorer
from swift.engines.scoring import tokens_of
from swift.errors import ResourceError, SwiftError
from swift.types import Echo, Given


@dataclass(frozen=True, slots=True)
class EchoEntry:
    """A prompt that is to be judged.

    Attributes:
        ticket: By which it can be cancelled.
        ids: Its tokens.
        top: How many of the likeliest tokens are told for each place.
        adapter: What judges it.
        listener: Who is told.
    """

    ticket: int
    ids: tuple[int, ...]
    top: int
    adapter: str
    listener: Listener

    @property
    def given(self) -> Given:
        """All tokens but the first are judged."""
        return Given(self.ids, range(1, len(self.ids)))


class Echoes:
    """What waits to be judged, and what is judged at present.

    Args:
        scorer: Judges.
        codec: Writes tokens as text.
        limits: Tokens that are judged together.
    """

    def __init__(self, scorer: Scorer, codec: Codec, limits: Limits) -> None:
        self._scorer = scorer
        self._codec = codec
        self._most = limits.tokens
        self._entries: dict[int, EchoEntry] = {}
        self._group: list[EchoEntry] = []
        self._work: Iterator[list[tuple[int, Tally]]] | None = None

    @property
    def busy(self) -> bool:
        """Whether any prompt waits or is judged."""
        return bool(self._entries)

    def holds(self, adapter: str) -> bool:
        """Whether any prompt waits for an adapter, or is judged by it."""
        return any(entry.adapter == adapter for entry in self._entries.values())

    def add(self, entry: EchoEntry) -> None:
        """Let a prompt wait for its turn; one of a single token has nothing to wait for."""
        if len(entry.ids) == 1:
            entry.listener(self._echo(entry, Tally()))
        else:
            self._entries[entry.ticket] = entry

    def drop(self, ticket: int) -> None:
        """Forget a prompt; what others do not need of it is not computed any more."""
        self._entries.pop(ticket, None)
        if not any(entry.ticket in self._entries for entry in self._group):
            self._rest()

    def step(self) -> None:
        """Compute one batch, and tell listeners."""
        try:
            if self._work is None:
                self._start()
            assert self._work is not None
            done = next(self._work, None)
        except torch.OutOfMemoryError:
            error = ResourceError("out of memory with prompts that are judged", hint="lower --max_batch_tokens")
            self._give_up(self._group, error)
            return
        for number, tally in done or ():
            entry = self._entries.pop(self._group[number].ticket, None)
            if entry is not None:
                entry.listener(self._echo(entry, tally))
        if done is None:
            self._rest()

    def fail(self, error: SwiftError) -> None:
        """Forget all prompts, and tell each listener why."""
        self._give_up(list(self._entries.values()), error)

    def _start(self) -> None:
        """Take those that have waited longest and have one adapter."""
        first = next(iter(self._entries.values()))
        self._group, tokens = [], 0
        for entry in self._entries.values():
            tokens += len(entry.ids)
            if entry.adapter == first.adapter and (entry is first or tokens <= self._most):
                self._group.append(entry)
        group = self._group
        self._work = self._scorer.work(
            [tokens_of(entry.given) for entry in group],
            first.adapter,
            top=max(entry.top for entry in group),
            wanted=lambda number: group[number].ticket in self._entries,
        )

    def _echo(self, entry: EchoEntry, tally: Tally) -> Echo:
        chances = tally.chances(entry.ids[1:], entry.top)
        return Echo(self._codec.decode([entry.ids[0]]), logprobs(chances, self._codec))

    def _rest(self) -> None:
        self._group, self._work = [], None

    def _give_up(self, entries: list[EchoEntry], error: SwiftError) -> None:
        self._rest()
        for entry in entries:
            if self._entries.pop(entry.ticket, None) is not None:
                entry.listener(error)
