"""Tokenized rows on disk, mapped into memory."""

from __future__ import annotations

import bisect
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swift.data.illustrated import kinds_of
from swift.data.shard import Shard, open_shard
from swift.errors import DataError
from swift.types import Illustrated, LedgerEntry, MediaKind, Origin, Tokens


class TokenStore(Sequence[Tokens]):
    """All sequences of a data set, in the order of (source, row, part).

    Only two numbers a sequence are held in memory; tokens come from the page cache.

    Attributes:
        fingerprint: Identifies rows, tokenizer, template and options.
        lengths: int32 [sequences], tokens of each.
        targets: int32 [sequences], trained tokens of each.
        rows: Input rows that were read for it, kept or not.

    Args:
        shards: In order.
        names: Source names, by number.
        temporary: A folder that lives as long as the store, where it is not cached.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        names: Sequence[str],
        *,
        fingerprint: str = "",
        temporary: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self._shards = list(shards)
        self._names = tuple(names)
        self._temporary = temporary
        self._ends = np.cumsum([len(shard) for shard in shards]).tolist()
        self.fingerprint = fingerprint
        self.rows = sum(shard.rows for shard in shards)
        self.lengths: NDArray[np.int32] = _joined([np.diff(shard.starts) for shard in shards], np.int32)
        self.targets: NDArray[np.int32] = _joined([shard.targets for shard in shards], np.int32)
        self._keys: NDArray[np.int64] = _joined([row_keys(shard.sources, shard.numbers) for shard in shards], np.int64)

    @property
    def media_kinds(self) -> frozenset[MediaKind]:
        """Kinds of media that its sequences show or play."""
        found = 0
        for shard in self._shards:
            found |= shard.media_kinds()
        return kinds_of(found)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Tokens:  # type: ignore[override]  # slices are not needed
        """A sequence; costs a few microseconds.

        Raises:
            IndexError: There is none of that number.
        """
        i = int(index)
        if not 0 <= i < len(self):
            raise IndexError(f"sequence {i} of a store of {len(self)}")
        number = bisect.bisect_right(self._ends, i)
        shard = self._shards[number]
        i -= self._ends[number - 1] if number else 0
        ids, weights = shard.tokens(i)
        origin = Origin(self._names[shard.sources[i]], int(shard.indices[i]))
        return Tokens(ids, weights, origin, int(shard.parts[i]), shard.shown(i))

    def sequences_of(self, source: int, row: int) -> range:
        """The sequence numbers of one row; empty where it was not kept."""
        key = row_keys(np.array([source]), np.array([row]))
        return range(int(np.searchsorted(self._keys, key)[0]), int(np.searchsorted(self._keys, key, side="right")[0]))

    def sequences_in_order(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sequence numbers of many rows, in their order.

        Args:
            rows: int64 [rows, 2], source number and row number; repeats are repeated.

        Returns:
            int64 [sequences].
        """
        keys = row_keys(rows[:, 0], rows[:, 1])
        first = np.searchsorted(self._keys, keys)
        counts = np.searchsorted(self._keys, keys, side="right") - first
        offsets = np.cumsum(counts) - counts
        found: NDArray[np.int64] = np.arange(counts.sum(), dtype=np.int64) + np.repeat(first - offsets, counts)
        return found

    def fates(self) -> Iterator[LedgerEntry]:
        """What became of every row that was not simply kept, in order."""
        for shard in self._shards:
            yield from shard.fates(self._names)


def open_shards(folder: Path, *, verify: bool) -> list[Shard]:
    """The shards of a folder up to the first that is absent or damaged."""
    shards: list[Shard] = []
    while True:
        try:
            shard = open_shard(folder, len(shards), verify=verify)
        except DataError:
            # A damaged shard costs its re-encoding, nothing else: what follows it is written anew.
            return shards
        if shard is None:
            return shards
        shards.append(shard)


def still_valid(shards: list[Shard], unchanged: Callable[[Illustrated], bool] | None) -> list[Shard]:
    """The shards up to the first whose media have changed, or in which a row failed for its media.

    Args:
        shards: What an earlier run left.
        unchanged: Whether media are still the same; None where rows have no media.
    """
    if unchanged is None:
        return shards
    for number, shard in enumerate(shards):
        shown = (shard.shown(i) for i in range(len(shard)))
        if shard.failed_for_media() or not all(unchanged(item) for item in shown if item is not None):
            return shards[:number]
    return shards


def row_keys(sources: NDArray[np.integer], numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """One sortable integer for (source number, row number)."""
    return (sources.astype(np.int64) << 40) | numbers.astype(np.int64)


def _joined(parts: list[NDArray[Any]], kind: type[np.integer]) -> NDArray[Any]:
    return np.concatenate(parts, dtype=kind, casting="same_kind") if parts else np.zeros(0, kind)
