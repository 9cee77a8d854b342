"""The distribution of sequence lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (5, 25, 50, 75, 95, 99)
_BINS = 16
_NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Bin:
    """Sequences of `low` to `high` tokens, both included."""

    low: int
    high: int
    count: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of sequences in tokens.

    Attributes:
        bins: Of equal width, from the shortest to the longest.
        percentiles: (percent, length): so many percent are at most that long.
        shortest, longest, mean: Over all.
        sequences, tokens, targets: Totals; targets are tokens that are trained on.
        max_length: The limit.
    """

    bins: tuple[Bin, ...]
    percentiles: tuple[tuple[int, int], ...]
    shortest: int
    longest: int
    mean: float
    sequences: int
    tokens: int
    targets: int
    max_length: int

    @property
    def target_share(self) -> float:
        """Tokens that are trained on, as a share of all."""
        return self.targets / self.tokens


def measure(lengths: NDArray[np.integer], targets: NDArray[np.integer], max_length: int) -> Lengths:
    """Look at sequences.

    Args:
        lengths: [n] tokens of each; n is at least 1.
        targets: [n] trained tokens of each.
        max_length: The limit that they keep.
    """
    shortest, longest = int(lengths.min()), int(lengths.max())
    width = _width(longest - shortest + 1)
    first = shortest // width
    counts = np.bincount(lengths // width - first).tolist()
    bins = [Bin((first + i) * width, (first + i + 1) * width - 1, count) for i, count in enumerate(counts)]
    marks = np.percentile(lengths, PERCENTILES, method="inverted_cdf").tolist()
    return Lengths(
        bins=tuple(bins),
        percentiles=tuple(zip(PERCENTILES, map(int, marks), strict=True)),
        shortest=shortest,
        longest=longest,
        mean=float(lengths.mean()),
        sequences=len(lengths),
        tokens=int(lengths.sum(dtype=np.int64)),
        targets=int(targets.sum(dtype=np.int64)),
        max_length=max_length,
    )


def _width(span: int) -> int:
    """A round bin width that makes at most `_BINS` bins (and one more where they do not begin at a border)."""
    power = 1
    while True:
        for nice in _NICE:
            if (width := int(nice * power)) * _BINS >= span:
                return width
        power *= 10
