"""Which rows run when: under a budget of tokens and rows, refilled as rows end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from swift.engines.batching import RowBatch
from swift.engines.job import Job, advance

HEADROOM = 64
"""New tokens that the batch must have room for when a row is admitted."""

_PATIENCE = 2
"""Steps between two refills where somebody waits: newcomers of the meantime are prefilled together."""


class Lane(Protocol):
    """Jobs that are computed in the same way, a forward pass at a time."""

    @property
    def jobs(self) -> list[Job]:
        """Those that have not ended, waiting ones included."""

    def add(self, job: Job) -> None:
        """Let one more job wait for its turn."""

    def drop(self, job: Job) -> None:
        """Forget a job that nobody wants any more."""

    def step(self) -> list[Job]:
        """One forward pass; returns the jobs that have one token more, or have ended."""


class Schedule:
    """Runs jobs through a `RowBatch`.

    A row costs the batch's width, since rows are padded to it. Where everything is there from the start, the longest
    prompts go first, and a batch is refilled when half of its rows have ended: each refill pays for a prefill, each
    empty place wastes a part of every step. Where somebody waits for each answer (`live`), who came first goes first,
    and a place that is free is soon filled. When the growing rows no longer fit the budget, the last one is sent back
    to wait; it goes on later from where it was.

    Args:
        batch: Where rows are decoded.
        max_tokens: Token slots of the cache, padding included. A single row may exceed it.
        max_rows: Rows at a time, asked for at each refill.
        before: Called before each forward pass.
        live: Jobs come and go, and somebody waits for each.
    """

    def __init__(
        self,
        batch: RowBatch,
        *,
        max_tokens: int,
        max_rows: Callable[[], int],
        before: Callable[[], None],
        live: bool = False,
    ) -> None:
        self._batch = batch
        self._max_tokens = max_tokens
        self._max_rows = max_rows
        self._before = before
        self._live = live
        self._waiting: list[Job] = []  # taken from the end
        self._sorted = True
        self._full = 0  # rows after the last refill
        self._since = _PATIENCE  # steps since then

    @property
    def jobs(self) -> list[Job]:
        """Those that have not ended, waiting ones included."""
        return self._batch.jobs + self._waiting

    def add(self, job: Job) -> None:
        """Let one more job wait for its turn."""
        self._waiting.append(job)
        self._sorted = False

    def drop(self, job: Job) -> None:
        """Forget a job that nobody wants any more."""
        self._waiting = [other for other in self._waiting if other is not job]
        self._batch.keep([row for row, other in enumerate(self._batch.jobs) if other is not job])

    def run(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Generate all of these; after each forward pass yields the jobs that have one token more."""
        for job in jobs:
            self.add(job)
        while self.jobs:
            yield self.step()

    def step(self) -> list[Job]:
        """One forward pass; returns the jobs that have one token more."""
        if not self._sorted:
            self._waiting.sort(key=lambda job: -job.number if self._live else job.length)
            self._sorted = True
        picked = self._pick() if self._may_refill() else []
        if not picked:
            self._shrink()
        self._since += 1
        self._before()
        if picked:
            self._since = 0
            moved = advance(picked, self._batch.admit(picked))
        else:
            moved = advance(self._batch.jobs, self._batch.step())
        if any(job.ended for job in moved):
            self._batch.keep([row for row, job in enumerate(self._batch.jobs) if not job.ended])
        return moved

    def _may_refill(self) -> bool:
        if self._live and self._since >= _PATIENCE:
            return True
        return len(self._batch.jobs) <= self._full // 2

    def _pick(self) -> list[Job]:
        """The waiting jobs that fit beside the running rows; at least one where no row runs."""
        picked: list[Job] = []
        rows, width, limit = len(self._batch.jobs), self._batch.width, self._max_rows()
        while self._waiting and rows < limit:
            job = self._waiting[-1]
            width = max(width, job.length + min(HEADROOM, job.limit - len(job.ids)))
            if rows and (rows + 1) * width > self._max_tokens:
                break
            picked.append(self._waiting.pop())
            rows += 1
        self._full = rows
        return picked

    def _shrink(self) -> None:
        """Send rows back to wait until the next step fits the budget."""
        rows = len(self._batch.jobs)
        while rows > 1 and rows * (self._batch.width + 1) > self._max_tokens:
            rows -= 1
        for job in self._batch.jobs[rows:]:
            self.add(job)
        self._batch.keep(list(range(rows)))
