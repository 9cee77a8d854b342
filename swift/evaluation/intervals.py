"""How sure a mean is: intervals that hold the true one in 95 of 100 evaluations with other rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""
_RESAMPLES, _CHUNK = 2000, 1 << 22
_SEED = 20260
"""Intervals of equal scores are equal."""

Pool = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, in percent.

    Attributes:
        value: None where nothing counts.
        low: Lower end of its interval; None where there are too few for one.
        high: Upper end.
        count: How many answers count.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int


def estimate(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """The mean of values from 0 to 1, with its interval.

    Of values that are 0 or 1 and independent, the interval is Wilson's (1927). Where values share a cluster, or lie
    between, clusters are drawn again (Efron 1979): percentiles of the means of 2,000 draws.

    Args:
        values: One for each answer that counts.
        clusters: The cluster of each.
    """
    if not values:
        return Estimate(None, None, None, 0)
    mean = 100 * sum(values) / len(values)
    alone = len(set(clusters)) == len(clusters)
    if alone and all(value in (0, 1) for value in values):
        low, high = wilson(round(sum(values)), len(values))
        return Estimate(mean, 100 * low, 100 * high, len(values))
    stats = np.column_stack([np.asarray(values, float), np.ones(len(values))])
    low_high = _resampled(by_cluster(stats, clusters), lambda sums: 100 * sums[0] / sums[1])
    return Estimate(mean, *low_high, len(values))


def pooled(stats: Sequence[Sequence[float]], clusters: Sequence[str], pool: Pool) -> Estimate:
    """A number of summed counts, such as BLEU, with the interval of draws of clusters.

    Args:
        stats: Counts of each answer.
        clusters: The cluster of each.
        pool: The number, of the sums.
    """
    if not stats:
        return Estimate(None, None, None, 0)
    values = np.asarray(stats, float)
    return Estimate(pool(values.sum(0)), *_resampled(by_cluster(values, clusters), pool), len(stats))


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's score interval of a share (1927), from 0 to 1.

    Args:
        right: How many are right.
        count: Of how many; at least 1.
    """
    share = right / count
    middle = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z / (1 + Z * Z / count) * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    return (0.0 if right == 0 else middle - half), (1.0 if right == count else middle + half)


def by_cluster(stats: NDArray[np.float64], clusters: Sequence[str]) -> NDArray[np.float64]:
    """Sums [clusters, numbers] of the numbers [answers, numbers] of each cluster."""
    _, places = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.zeros((int(places.max()) + 1, stats.shape[1]))
    np.add.at(sums, places, stats)
    return sums


def draws(sums: NDArray[np.float64], number: int = _RESAMPLES) -> NDArray[np.float64]:
    """Sums [number, numbers] over as many clusters as there are, drawn again and again with replacement."""
    random, size = np.random.default_rng(_SEED), len(sums)
    rows = max(1, _CHUNK // size)
    chances = np.full(size, 1 / size)
    parts = [
        random.multinomial(size, chances, size=min(rows, number - begin)) @ sums for begin in range(0, number, rows)
    ]
    return np.concatenate(parts)


def _resampled(sums: NDArray[np.float64], pool: Callable[..., float]) -> tuple[float | None, float | None]:
    if len(sums) < 2:
        return None, None
    found = [pool(row) for row in draws(sums)]
    low, high = np.percentile([value for value in found if not math.isnan(value)], [2.5, 97.5])
    return float(low), float(high)
