"""Packing: put sequences into rows of a fixed capacity with as little room left over as possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from swift.errors import DataError


def best_fit(lengths: Sequence[int] | NDArray[np.integer], capacity: int) -> list[list[int]]:
    """Best-fit decreasing (Johnson 1973): the longest sequence first, each into the fullest pack that has room.

    Never needs more than 11/9 of the fewest possible packs, plus 4. How many packs come out depends on the
    lengths alone, not on their order; shuffling `lengths` shuffles which sequences of equal length end up where.

    Time: O(n log n) for sorting, then a lookup of O(capacity / 64) machine words for each run of equal lengths
    that goes into one pack.

    Args:
        lengths: Tokens of each sequence; all positive.
        capacity: Tokens that fit into one pack.

    Returns:
        The packs, each as indices into `lengths`; every index is in exactly one.

    Raises:
        DataError: A sequence is longer than `capacity`.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if sizes.size and int(sizes.max()) > capacity:
        raise DataError(
            f"a sequence of {int(sizes.max())} tokens does not fit into a pack of {capacity}",
            hint="raise the capacity, or truncate to it",
        )
    packs: list[list[int]] = []
    rooms = _Rooms(capacity)
    for size, equal in _longest_first(sizes):
        while equal:
            found = rooms.take(size)
            if found is None:
                found = (capacity, len(packs))
                packs.append([])
            free, pack = found
            # After the first of them this pack still is the fullest with room, so that all that fit go in.
            count = min(free // size, len(equal))
            packs[pack].extend(equal[-count:])
            del equal[-count:]
            rooms.put(free - count * size, pack)
    return packs


def next_fit(lengths: Sequence[int] | NDArray[np.integer], capacity: int) -> list[list[int]]:
    """Packs in the given order: a sequence that does not fit into the current pack opens the next.

    A sequence longer than `capacity` gets a pack of its own.

    Args:
        lengths: Tokens of each sequence.
        capacity: Tokens that fit into one pack.

    Returns:
        The packs, each as consecutive indices into `lengths`.
    """
    packs: list[list[int]] = []
    room = -1
    for index, size in enumerate(np.asarray(lengths).tolist()):
        if size > room:
            packs.append([])
            room = capacity
        packs[-1].append(index)
        room = max(room - size, 0)
    return packs


class _Rooms:
    """Open packs by their number of free tokens.

    One stack a number; which stacks are occupied is one big integer with a bit for each, so that the fullest
    pack with room for n tokens is behind the lowest set bit from n upward.
    """

    def __init__(self, capacity: int) -> None:
        self._stacks: list[list[int]] = [[] for _ in range(capacity + 1)]
        self._occupied = 0

    def take(self, size: int) -> tuple[int, int] | None:
        """(free tokens, pack) of the fullest pack with room for `size`; it is no longer listed."""
        candidates = self._occupied >> size
        if not candidates:
            return None
        free = size + (candidates & -candidates).bit_length() - 1
        pack = self._stacks[free].pop()
        if not self._stacks[free]:
            self._occupied ^= 1 << free
        return free, pack

    def put(self, free: int, pack: int) -> None:
        """List a pack; a full one is forgotten."""
        if free > 0:
            self._occupied |= 1 << free
            self._stacks[free].append(pack)


def _longest_first(sizes: NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
    """(length, indices of that length), from the greatest length down."""
    order = np.argsort(-sizes, kind="stable")
    ordered = sizes[order]
    borders = np.flatnonzero(np.diff(ordered)) + 1
    for indices in np.split(order, borders) if order.size else ():
        yield int(sizes[indices[0]]), indices.tolist()
