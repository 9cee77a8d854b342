"""Where the training loop gets its steps from, and where a run stands in its data."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from swift.batch import Batch
from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.data.collate import Media, collate
from swift.data.order import Indices, Plan, Share, plan, plan_epoch, slots_at_once
from swift.data.prefetch import prefetched
from swift.data.slices import largest_piece
from swift.data.store import TokenStore
from swift.errors import DataError

Step = tuple[list[Batch], "Position"]
"""This process' micro-batches of one optimizer step, perhaps none, and where the step after it begins."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the data the next step begins; plain integers, so that it can be written as JSON.

    Attributes:
        epoch: Passes over the data that are complete. Always 0 when streaming.
        step: Optimizer steps taken in this epoch; when streaming, in the current window.
        rows: Streaming: rows consumed before the current window. Else 0.
    """

    epoch: int = 0
    step: int = 0
    rows: int = 0


class Feed(Protocol):
    """A source of optimizer steps.

    Attributes:
        total_steps: Steps of the whole run, from its beginning; None where there is no end.
    """

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run, from its beginning; None where there is no end."""

    def steps(self, position: Position) -> Iterator[Step]:
        """The steps from `position` on, the same whether or not the run was interrupted there.

        Time that the caller waits in `next` is time for which the data was late. Close the generator to stop
        the work that runs ahead.
        """


class MapFeed:
    """Steps over rows that have all been tokenized.

    Args:
        store: The sequences.
        rows: int64 [n, 2], the training rows in the selection's order; repeats allowed.
        batch: Micro-batches and accumulation.
        data: Shuffling and its seed.
        max_length: Capacity of a pack.
        epochs: Passes over the rows, possibly fractional: what is left of the last one is not trained on.
        max_steps: Number of steps; wins over `epochs`.
        padding_free: Layout of the batches.
        pad_id: Token id of padding.
        media: Loads what sequences show; None where all are text.
        share: Which part of each step is ours.

    Raises:
        DataError: No row is left to train on.
        ConfigError: Packing without a padding-free model.
    """

    def __init__(
        self,
        store: TokenStore,
        rows: NDArray[np.int64],
        *,
        batch: BatchConfig,
        data: DataConfig,
        max_length: int,
        epochs: float,
        max_steps: int | None,
        padding_free: bool,
        pad_id: int,
        media: Media | None = None,
        share: Share | None = None,
    ) -> None:
        self._store = store
        self._share = share or Share()
        self._sequences = store.sequences_in_order(rows)
        if not self._sequences.size:
            raise DataError("no row is left to train on", hint="the ledger says what became of each")
        self._lengths = store.lengths[self._sequences]
        self._batch, self._data, self._max_length = batch, data, max_length
        self._padding_free, self._pad_id, self._media = padding_free, pad_id, media
        self._planned = (0, self._plan(0))
        self._steps_per_epoch = self._planned[1].steps
        self._total = max_steps or max(1, math.ceil(epochs * self._steps_per_epoch))

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self._total

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the rows; the same for every pass."""
        return self._steps_per_epoch

    @property
    def accumulation(self) -> int:
        """Micro-batches to a step, of all processes."""
        return self._planned[1].accumulation

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each training sequence."""
        return self._lengths

    def steps(self, position: Position) -> Generator[Step]:
        """See `Feed.steps`; ends after `total_steps`."""
        return prefetched(lambda: self._steps(position))

    def largest(self, slice_tokens: int | None = None) -> Batch:
        """The micro-batch, or the slice of one, with the most slots, to try whether it fits into memory."""
        micro_batches = self._plan_of(0).micro_batches
        sizes = self._lengths.astype(np.int64)
        taken = [slots_at_once(sizes[each], slice_tokens, padding_free=self._padding_free) for each in micro_batches]
        return largest_piece(self._collate(micro_batches[int(np.argmax(taken))]), slice_tokens)

    def _steps(self, position: Position) -> Iterator[Step]:
        epoch, step = position.epoch, position.step
        sizes = self._lengths.astype(np.int64)
        while epoch * self._steps_per_epoch + step < self._total:
            ours = self._share.of(self._plan_of(epoch).step(step), sizes, padding_free=self._padding_free)
            micro_batches = [self._collate(indices) for indices in ours]
            step += 1
            if step == self._steps_per_epoch:
                epoch, step = epoch + 1, 0
            yield micro_batches, Position(epoch, step)

    def _collate(self, indices: Indices) -> Batch:
        samples = [self._store[i] for i in self._sequences[indices].tolist()]
        return collate(samples, padding_free=self._padding_free, pad_id=self._pad_id, media=self._media)

    def _plan_of(self, epoch: int) -> Plan:
        number, planned = self._planned
        if number != epoch:
            planned = self._plan(epoch)
            self._planned = (epoch, planned)
        return planned

    def _plan(self, epoch: int) -> Plan:
        return plan_epoch(
            self._lengths,
            self._batch,
            self._data,
            max_length=self._max_length,
            epoch=epoch,
            padding_free=self._padding_free,
            ranks=self._share.size,
        )


class EvaluationBatches(Sequence[Batch]):
    """Validation rows as batches, made when they are asked for; no row twice, none left out.

    Without padding, a batch is filled up to as many tokens as the largest training micro-batch may have; with
    padding, similar lengths go together. Sums over all batches do not depend on the order.

    Args:
        store: The sequences.
        rows: int64 [n, 2], the validation rows.
        batch: `eval_size` (or `size`) sequences of `max_length` bound a batch; `max_tokens` does if set.
        max_length: Longest sequence.
        padding_free: Layout of the batches.
        pad_id: Token id of padding.
        media: Loads what sequences show; None where all are text.
    """

    def __init__(
        self,
        store: TokenStore,
        rows: NDArray[np.int64],
        *,
        batch: BatchConfig,
        max_length: int,
        padding_free: bool,
        pad_id: int,
        media: Media | None = None,
    ) -> None:
        self._store = store
        self._sequences = store.sequences_in_order(rows)
        self._padding_free, self._pad_id, self._media = padding_free, pad_id, media
        tokens = batch.max_tokens or (batch.eval_size or batch.size) * max_length
        budget = BatchConfig(max_tokens=tokens, accumulation=1)
        lengths = store.lengths[self._sequences]
        self._micro_batches = plan(
            lengths, budget, max_length=max_length, padding_free=padding_free, seed=(0,)
        ).micro_batches

    def __len__(self) -> int:
        return len(self._micro_batches)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]  # slices are not needed
        indices = self._micro_batches[index]
        samples = [self._store[i] for i in self._sequences[indices].tolist()]
        return collate(samples, padding_free=self._padding_free, pad_id=self._pad_id, media=self._media)
