"""Exact duplicates: rows that equal an earlier row, by a hash of their values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from swift.data.ledger import Ledger
from swift.data.reasons import DUPLICATE
from swift.data.rows import Source
from swift.types import LedgerEntry, Origin, Row

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def row_hash(row: Row) -> bytes:
    """16 bytes that are equal for equal values, whatever the order of their keys."""
    return xxhash.xxh3_128_digest(_canonical(row))


def unique_rows(sources: Sequence[Source], ledger: Ledger | None) -> list[NDArray[np.int64]]:
    """Row numbers of each source that equal no earlier row of any of them.

    Reads everything once; takes 24 bytes of memory a row. Rows that cannot be read stay: they fail later,
    each for itself.

    Args:
        sources: Data files in order.
        ledger: Gets an entry for every row that is left out.
    """
    if not sources:
        return []
    found = [_hashes(source, number) for number, source in enumerate(sources)]
    bounds = np.cumsum([0, *(len(lines) for _, lines in found)])
    lines = np.concatenate([lines for _, lines in found])
    places = np.arange(len(lines))
    # np.unique sorts stably, so the first of equal rows is the earliest.
    _, first, groups = np.unique(
        np.concatenate([hashes for hashes, _ in found]), return_index=True, return_inverse=True
    )
    original = first[groups.reshape(-1)]
    if ledger is not None:
        names = [source.name for source in sources]

        def origin(place: np.int64) -> Origin:
            return Origin(names[int(np.searchsorted(bounds, place, side="right")) - 1], int(lines[place]))

        for place in np.flatnonzero(original != places):
            earlier = origin(original[place])
            ledger.add(LedgerEntry(origin(place), "dropped", DUPLICATE, f"the same as {earlier}"))
    return [np.flatnonzero(original[low:high] == places[low:high]).astype(np.int64) for low, high in pairwise(bounds)]


def _hashes(source: Source, number: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """(hash, line number) of every row."""
    lines = np.zeros(source.count(), np.int64)
    digests = bytearray()
    for place, item in enumerate(source.rows()):
        lines[place] = item.origin.index
        if isinstance(item, Row):
            digests += row_hash(item)
        else:  # equals nothing
            digests += xxhash.xxh3_128_digest(f"{number} {place}".encode(), seed=1)
    return np.frombuffer(bytes(digests), "V16"), lines


def _canonical(row: Row) -> bytes:
    try:
        return orjson.dumps(row.values, default=repr, option=_OPTIONS)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, lone surrogates
        return repr(sorted(row.values.items())).encode("utf-8", "surrogatepass")
