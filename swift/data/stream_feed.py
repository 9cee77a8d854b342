"""Steps over a stream of rows that is never counted nor kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from swift.batch import Batch
from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.data.chunk import Encoder
from swift.data.collate import Media, collate
from swift.data.encode_stream import encode_stream
from swift.data.feed import Position, Step
from swift.data.ledger import Ledger
from swift.data.order import Indices, Plan, Share, accumulation_of, plan
from swift.data.prefetch import prefetched
from swift.data.rows import BadRow
from swift.errors import DataError
from swift.types import Row, Tokens

WINDOW_SEQUENCES = 1024
_LEAST_TOKENS, _MOST_TOKENS = 1 << 20, 1 << 23
_HOPELESS_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class _Limits:
    """When a window is full.

    Attributes:
        sequences: From so many sequences on,
        tokens: or so many tokens,
        step: as soon as the sequences make whole steps, if they do before either is reached twice.
    """

    sequences: int
    tokens: int
    step: int

    def reached(self, sequences: int, tokens: int) -> bool:
        full = max(sequences / self.sequences, tokens / self.tokens)
        return full >= 2 or (full >= 1 and sequences % self.step == 0)


class StreamFeed:
    """Steps over an endless or long stream.

    Sequences are collected into a window, and a window is planned like a small epoch: packed, or cut into
    micro-batches. Windows depend on rows and options alone, not on time or the number of workers, so that
    resuming means to encode the current window again and to leave out the steps already taken. The next window
    is encoded while steps of the current one are trained on.

    Each of several processes reads the whole stream and makes the same windows, but batches only of its share.

    Args:
        open_rows: The rows from a given number on; the same each time.
        encoder: Row to sequences.
        batch: Micro-batches and accumulation.
        data: Shuffling (here only of packs and lengths within a window), its seed, and what a bad row does.
        max_length: Capacity of a pack.
        max_steps: Number of steps; None goes on until the rows end.
        padding_free: Layout of the batches.
        pad_id: Token id of padding.
        media: Loads what sequences show; None where all are text.
        share: Which part of each step is ours.
        workers: Processes that encode; 0 for none.
        ledger: Told of every row.
        window: Sequences to a window, about.
    """

    def __init__(
        self,
        open_rows: Callable[[int], Iterator[Row | BadRow]],
        encoder: Encoder,
        *,
        batch: BatchConfig,
        data: DataConfig,
        max_length: int,
        max_steps: int | None,
        padding_free: bool,
        pad_id: int,
        media: Media | None = None,
        share: Share | None = None,
        workers: int,
        ledger: Ledger,
        window: int = WINDOW_SEQUENCES,
    ) -> None:
        self._open_rows, self._encoder, self._ledger = open_rows, encoder, ledger
        self._batch, self._data, self._max_length, self._max_steps = batch, data, max_length, max_steps
        self._padding_free, self._pad_id, self._workers = padding_free, pad_id, workers
        self._media = media
        self._share = share or Share()
        ranks = self._share.size
        fixed = not batch.packing and batch.max_tokens is None
        step = batch.size * accumulation_of(batch, 0, 0, ranks) if fixed else 1
        tokens = 8 * max_length * batch.size * accumulation_of(batch, 1, 1, ranks)
        self._limits = _Limits(-(-window // step) * step, min(max(tokens, _LEAST_TOKENS), _MOST_TOKENS), step)

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run."""
        return self._max_steps

    @property
    def accumulation(self) -> int | None:
        """Micro-batches to a step, of all processes; None where each window decides."""
        fixed = self._batch.accumulation is not None or not (self._batch.packing or self._batch.max_tokens is not None)
        return accumulation_of(self._batch, 0, 0, self._share.size) if fixed else None

    def steps(self, position: Position) -> Generator[Step]:
        """See `Feed.steps`; goes on until the rows end.

        Raises:
            DataError: A bad row, where bad rows stop the run; or no row can be trained on.
        """
        return prefetched(lambda: self._steps(position))

    def _steps(self, position: Position) -> Iterator[Step]:
        begin, taken = position.rows, position.step
        encoded = encode_stream(
            self._open_rows(begin),
            self._encoder,
            workers=self._workers,
            ledger=self._ledger,
            ahead=self._limits.sequences,
            on_error=self._data.on_error,
        )
        with closing(encoded):
            while True:
                window, rows = self._window(encoded)
                if not window:
                    if begin == 0 or rows >= _HOPELESS_ROWS:
                        raise DataError("none of the rows can be trained on", hint="the ledger says why")
                    return
                sizes = np.fromiter(map(len, window), dtype=np.int64, count=len(window))
                planned = self._plan(sizes, begin)
                for step in range(taken, planned.steps):
                    ours = self._share.of(planned.step(step), sizes, padding_free=self._padding_free)
                    micro_batches = [self._collate(window, indices) for indices in ours]
                    last = step + 1 == planned.steps
                    yield micro_batches, Position(0, 0, begin + rows) if last else Position(0, step + 1, begin)
                begin, taken = begin + rows, 0

    def _window(self, encoded: Iterator[tuple[Tokens, ...]]) -> tuple[list[Tokens], int]:
        """The next window's sequences, and how many rows they are of."""
        window: list[Tokens] = []
        rows = tokens = 0
        for sequences in encoded:
            rows += 1
            window.extend(sequences)
            tokens += sum(map(len, sequences))
            if self._limits.reached(len(window), tokens) or (rows >= _HOPELESS_ROWS and not window):
                break
        return window, rows

    def _collate(self, window: Sequence[Tokens], indices: Indices) -> Batch:
        samples = [window[i] for i in indices.tolist()]
        return collate(samples, padding_free=self._padding_free, pad_id=self._pad_id, media=self._media)

    def _plan(self, sizes: Indices, begin: int) -> Plan:
        return plan(
            sizes,
            self._batch,
            max_length=self._max_length,
            padding_free=self._padding_free,
            seed=(self._data.seed, begin) if self._data.shuffle else None,
            ranks=self._share.size,
        )
