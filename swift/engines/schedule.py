"""Which rows run when: longest prompts first, under a budget of tokens and rows, refilled as rows end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from swift.engines.batching import Job, RowBatch
from swift.engines.sampling import choose

HEADROOM = 64
"""New tokens that the batch must have room for when a row is admitted."""


class Schedule:
    """Runs jobs through a `RowBatch`.

    A row costs the batch's width, since rows are padded to it. A batch is refilled when half of its rows
    have ended: each refill pays for a prefill, each empty place wastes a part of every step. When the
    growing rows no longer fit the budget, the last one is sent back to wait; it goes on later from where it was.

    Args:
        batch: Where rows are decoded.
        max_tokens: Token slots of the cache, padding included. A single row may exceed it.
        max_rows: Rows at a time.
        before: Called before each forward pass.
    """

    def __init__(self, batch: RowBatch, *, max_tokens: int, max_rows: int, before: Callable[[], None]) -> None:
        self._batch = batch
        self._max_tokens = max_tokens
        self._max_rows = max_rows
        self._before = before
        self._waiting: list[Job] = []
        self._full = 0  # rows after the last refill

    def run(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Generate; after each forward pass yields the jobs that have one token more."""
        self._waiting = sorted(jobs, key=lambda job: job.length)  # taken from the end
        while self._waiting or self._batch.jobs:
            picked = self._pick() if len(self._batch.jobs) <= self._full // 2 else []
            if not picked:
                self._shrink()
            self._before()
            if picked:
                yield self._advance(picked, self._batch.admit(picked))
            else:
                yield self._advance(self._batch.jobs, self._batch.step())

    def _pick(self) -> list[Job]:
        """The waiting jobs that fit beside the running rows; at least one where no row runs."""
        picked: list[Job] = []
        rows, width = len(self._batch.jobs), self._batch.width
        while self._waiting and rows < self._max_rows:
            job = self._waiting[-1]
            width = max(width, job.length + min(HEADROOM, job.limit - len(job.ids)))
            if rows and (rows + 1) * width > self._max_tokens:
                break
            picked.append(self._waiting.pop())
            rows += 1
        self._full = rows
        return picked

    def _advance(self, jobs: Sequence[Job], logits: Tensor) -> list[Job]:
        """Choose a token for each of these jobs and drop the rows that end with it."""
        moved = list(jobs)
        for job, token in zip(moved, choose(logits, [job.chooser for job in moved]), strict=True):
            job.chooser.note([token], logits.shape[-1], logits.device)
            job.accept(token)
        if any(job.finish is not None for job in moved):
            self._batch.keep([row for row, job in enumerate(self._batch.jobs) if job.finish is None])
        return moved

    def _shrink(self) -> None:
        """Send rows back to wait until the next step fits the budget."""
        rows = len(self._batch.jobs)
        while rows > 1 and rows * (self._batch.width + 1) > self._max_tokens:
            rows -= 1
        if rows < len(self._batch.jobs):
            self._waiting = sorted([*self._waiting, *self._batch.jobs[rows:]], key=lambda job: job.length)
            self._batch.keep(list(range(rows)))
