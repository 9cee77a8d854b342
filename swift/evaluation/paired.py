"""Whether one run is better than another, by answers to the same questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swift.evaluation.intervals import by_cluster, draws
from swift.evaluation.metric import Measure
from swift.evaluation.result import Values

_FLIPS, _EXACT = 10_000, 12
_SEED = 20261

Test = Literal["McNemar", "sign flips", "bootstrap", "none"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure of two runs.

    Attributes:
        first: The first run's value over the questions that both have, in percent.
        second: The second's.
        difference: The second's less the first's; with its interval of 95 %.
        low: Its lower end; None where there are too few for one.
        high: Its upper end.
        p: How likely a difference as large is where none is better; None where nothing can be told.
        test: By which test.
        count: Questions that both have.
        better: Of them, how many the second has better.
        worse: And how many worse.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    test: Test
    count: int
    better: int
    worse: int


def compared(first: Values, second: Values, measure: Measure) -> Comparison | None:
    """Compare a measure of two runs; None where they have no question in common.

    Where values are 0 or 1 and each question stands alone, the test is McNemar's, exact (1947). Other values: the signs
    of the differences of clusters are flipped (Fisher 1935). Numbers of pooled counts: draws of clusters.
    """
    places = {name: place for place, name in enumerate(second.ids)}
    common = [(place, places[name]) for place, name in enumerate(first.ids) if name in places]
    if not common:
        return None
    clusters = [first.clusters[place] for place, _ in common]
    mine = np.asarray([first.values[place] for place, _ in common], float)
    theirs = np.asarray([second.values[place] for _, place in common], float)
    if measure.pooled is not None:
        return _pooled(mine, theirs, clusters, measure)
    differences = theirs - mine
    gains = -differences if measure.lower else differences
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    sums = by_cluster(np.column_stack([differences, np.ones(len(differences))]), clusters)
    low, high = _interval(sums)
    binary = bool(np.isin(mine, (0, 1)).all() and np.isin(theirs, (0, 1)).all())
    alone = len(set(clusters)) == len(clusters)
    p = mcnemar(better, worse) if binary and alone else sign_flips(sums[:, 0])
    return Comparison(
        100 * float(mine.mean()), 100 * float(theirs.mean()), 100 * float(differences.mean()), low, high, p,
        "McNemar" if binary and alone else "sign flips", len(common), better, worse,
    )  # fmt: skip


def mcnemar(better: int, worse: int) -> float:
    """Two-sided p of McNemar's exact test (1947): of questions on which two runs differ, either is right as often.

    Args:
        better: Questions that only the second has right.
        worse: Those that only the first has right.
    """
    count = better + worse
    if not count:
        return 1.0
    tail = sum(math.comb(count, number) for number in range(min(better, worse) + 1))
    return float(min(1.0, 2 * tail / 2**count))


def sign_flips(differences: NDArray[np.float64]) -> float:
    """Two-sided p of the permutation test of paired differences (Fisher 1935).

    Args:
        differences: One for each cluster. Up to twelve that are not 0, all flips are tried; of more, 10,000 at random.
    """
    values = differences[differences != 0]
    if not len(values):
        return 1.0
    seen = abs(float(values.sum())) * (1 - 1e-12)
    if len(values) <= _EXACT:
        signs = 1 - 2 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
        return float(np.mean(np.abs(signs @ values) >= seen))
    random = np.random.default_rng(_SEED)
    hits = sum(
        int((np.abs(random.choice((-1.0, 1.0), size=(100, len(values))) @ values) >= seen).sum())
        for _ in range(_FLIPS // 100)
    )
    return (hits + 1) / (_FLIPS + 1)


def _interval(sums: NDArray[np.float64]) -> tuple[float | None, float | None]:
    if len(sums) < 2:
        return None, None
    drawn = draws(sums)
    low, high = np.percentile(100 * drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)


def _pooled(
    mine: NDArray[np.float64], theirs: NDArray[np.float64], clusters: Sequence[str], measure: Measure
) -> Comparison:
    assert measure.pooled is not None
    width = mine.shape[1]
    first, second = measure.pooled(mine.sum(0)), measure.pooled(theirs.sum(0))
    sums = by_cluster(np.column_stack([mine, theirs]), clusters)
    low = high = p = None
    if len(sums) > 1:
        drawn = np.asarray([measure.pooled(row[width:]) - measure.pooled(row[:width]) for row in draws(sums)])
        low, high = (float(end) for end in np.percentile(drawn, [2.5, 97.5]))
        p = min(1.0, 2 * float(min((drawn <= 0).mean(), (drawn >= 0).mean())) + 1 / len(drawn))
    test: Test = "none" if p is None else "bootstrap"
    return Comparison(first, second, second - first, low, high, p, test, len(mine), 0, 0)
