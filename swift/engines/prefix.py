"""Where two sequences begin alike."""

from __future__ import annotations

from collections.abc import Sequence


def common(tokens: Sequence[int], others: Sequence[int], limit: int | None = None) -> int:
    """How many of the first `limit` tokens are the same in both."""
    most = min(len(others), len(tokens) if limit is None else limit)
    if tokens[:most] == others[:most]:
        return most
    low, high = 0, most
    while low < high:  # the first difference, by halves: slices are compared much faster than tokens
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens[:middle] == others[:middle] else (low, middle - 1)
    return low
