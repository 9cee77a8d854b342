"""A selection of rows to a store of sequences: read, encode in parallel, write, and remember."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swift.data.cache import entry_folder, prune, store_fingerprint
from swift.data.chunk import REFUSED, EncodedChunk, Encoder, NumberedRow, chunks_of, text_size
from swift.data.gate import Gate
from swift.data.ledger import Ledger
from swift.data.progress import RowProgress, row_progress
from swift.data.row_encoder import RowEncoder
from swift.data.rows import BadRow, Source
from swift.data.select import Selection
from swift.data.shard import Shard, remove_shards, write_shard
from swift.data.store import TokenStore, open_shards, row_keys, still_valid
from swift.data.workers import WorkerPool
from swift.errors import DataError
from swift.types import Illustrated

__all__ = ["RowEncoder", "encode_sources", "processes"]

SHARD_TOKENS = 1 << 21
SHARD_ROWS = 1 << 16
"""A shard ends at either: what a kill costs, and what is held in memory before it is written."""

_NUMBER = (1 << 40) - 1
_SAMPLED_ROWS = 64
_BYTES_FOR_PROCESSES = 2_000_000  # less text than this is encoded before a process has started
_MOST_PROCESSES = 32


def encode_sources(
    selection: Selection,
    encoder: Encoder,
    *,
    workers: int | None,
    cache_dir: Path | None,
    ledger: Ledger,
    progress: bool,
    on_error: Literal["drop", "error"] = "error",
    unchanged: Callable[[Illustrated], bool] | None = None,
    reuse: bool = False,
) -> TokenStore:
    """Encode the training and validation rows of a selection, each row once; the same for any number of workers.

    At most a few chunks of rows are in memory at a time. A run that was killed continues after the last shard.

    Args:
        workers: Processes; 0 encodes in this one; None decides by the amount of text and the cores.
        cache_dir: Where stores are kept and found again; None keeps it as long as the returned store lives.
        ledger: Told of every row.
        progress: Show a bar.
        on_error: Whether bad rows stop the run, after some were collected, or are only put on the ledger.
        unchanged: Whether the media of a sequence that was encoded earlier are still the same.
        reuse: Take what another process of this run has just written, as it is; nothing is encoded.

    Raises:
        DataError: Bad rows, where they stop the run; or a source changed while it was read.
        ResourceError: The disk is full.
    """
    wanted = wanted_rows(selection)
    fingerprint = store_fingerprint(selection.sources, wanted, encoder)
    gate = Gate(ledger, on_error)
    with ExitStack() as stack:
        folder, temporary = _folder(cache_dir, fingerprint, stack)
        shards = (
            _just_written(folder, wanted.size) if reuse else still_valid(open_shards(folder, verify=True), unchanged)
        )
        done = sum(shard.rows for shard in shards)
        if done < wanted.size:
            remove_shards(folder, len(shards))
            bar = stack.enter_context(row_progress("Tokenizing", total=wanted.size, done=done, shown=progress))
            rows = _read(selection.sources, wanted[done:])
            _write(_Work(folder, len(shards), gate, bar), rows, encoder, workers, left=wanted.size - done)
            shards = open_shards(folder, verify=False)
        names = [source.name for source in selection.sources]
        store = TokenStore(shards, names, fingerprint=fingerprint, temporary=temporary)
        if cache_dir is not None and not reuse:
            prune(cache_dir, keep=fingerprint)
    _account(store, ledger, gate)
    return store


def _folder(
    cache_dir: Path | None, fingerprint: str, stack: ExitStack
) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """Where shards go: the cache's folder, ours until `stack` is closed, or a temporary one."""
    if cache_dir is not None:
        return stack.enter_context(entry_folder(cache_dir, fingerprint)), None
    temporary = tempfile.TemporaryDirectory(prefix="swift-tokens-")
    return Path(temporary.name), temporary


def _just_written(folder: Path, rows: int) -> list[Shard]:
    """What another process of this run has left.

    Raises:
        DataError: It is not what this one needs.
    """
    shards = open_shards(folder, verify=False)
    if (found := sum(shard.rows for shard in shards)) != rows:
        raise DataError(
            f"another process of this run tokenized {found} rows into {folder}, and {rows} are needed",
            hint="leave the data and the cache alone while a run starts",
        )
    return shards


def wanted_rows(selection: Selection) -> NDArray[np.int64]:
    """The distinct rows that are trained or validated on, as sorted keys (see `row_keys`)."""
    both = np.concatenate([selection.train, selection.validation])
    return np.unique(row_keys(both[:, 0], both[:, 1]))


def processes(workers: int | None, *, text: float) -> int:
    """How many processes to start.

    Args:
        workers: What the user said; None for nothing.
        text: Characters to encode, about.
    """
    if workers is not None:
        return workers
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return 0 if cores == 1 or text < _BYTES_FOR_PROCESSES else min(cores, _MOST_PROCESSES)


def _account(store: TokenStore, ledger: Ledger, gate: Gate) -> None:
    """Tell the ledger what became of every row."""
    told = 0
    for entry in store.fates():
        if entry.reason == REFUSED:
            gate.check(entry)
        ledger.add(entry)
        told += 1
    ledger.keep(store.rows - told)
    ledger.require_good(gate.on_error)


def _read(sources: Sequence[Source], wanted: NDArray[np.int64]) -> Iterator[NumberedRow]:
    """The wanted rows, each source read once, in order.

    Raises:
        DataError: A source ends too early.
    """
    for number in np.unique(wanted >> 40).tolist():
        source = sources[number]
        rows = wanted[(wanted >> 40) == number] & _NUMBER
        place, target = 0, int(rows[0])
        for at, row in enumerate(source.rows(target), target):
            if at == target:
                yield NumberedRow(number, at, row)
                place += 1
                if place == rows.size:
                    break
                target = int(rows[place])
        else:
            raise DataError(
                f"{source.name} has no row {target + 1}, which it had when its rows were counted",
                hint="do not change the file while it is read",
            )


def _write(work: _Work, rows: Iterator[NumberedRow], encoder: Encoder, workers: int | None, *, left: int) -> None:
    """Encode rows and write them as shards, from number `work.first` on."""
    sample = list(islice(rows, _SAMPLED_ROWS))
    size = sum(text_size(item.row.values) for item in sample if not isinstance(item.row, BadRow))
    count = processes(workers, text=size / max(len(sample), 1) * left)
    shard = _Shard(work.folder, work.first)
    with WorkerPool(count, encoder) as pool, closing(pool.map(chunks_of(chain(sample, rows)))) as encoded:
        for chunk in encoded:
            for fate in chunk.fates:
                work.gate.check(fate.entry)
            shard.add(chunk)
            work.bar(chunk.rows)
    shard.flush()


@dataclass(frozen=True, slots=True)
class _Work:
    """Where shards go, and who is told.

    Attributes:
        first: Number of the first shard to write.
        gate: Stops the run at bad rows.
    """

    folder: Path
    first: int
    gate: Gate
    bar: RowProgress


class _Shard:
    """Chunks on their way into the next shard file.

    Where a shard ends depends on its rows alone, so that an interrupted store becomes the same as another.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number
        self._chunks: list[EncodedChunk] = []
        self._rows = self._tokens = 0

    def add(self, chunk: EncodedChunk) -> None:
        self._chunks.append(chunk)
        self._rows += chunk.rows
        self._tokens += chunk.ids.size
        if self._rows >= SHARD_ROWS or self._tokens >= SHARD_TOKENS:
            self.flush()

    def flush(self) -> None:
        if self._chunks:
            write_shard(self._folder, self._number, self._chunks)
            self._number += 1
            self._chunks = []
            self._rows = self._tokens = 0
