"""Intervals and tests of pairs, beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.evaluation.intervals import estimate, pooled, wilson
from swift.evaluation.metric import Measure, named
from swift.evaluation.paired import compared, mcnemar, sign_flips
from swift.evaluation.result import Values, values_of

stats = pytest.importorskip("scipy.stats")


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    theirs = stats.binomtest(*pair).proportion_ci(method="wilson")
    assert wilson(*pair) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_scipys(better: int, worse: int) -> None:
    theirs = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(theirs)


@pytest.mark.parametrize("count", [5, 12, 40])
def test_sign_flips_are_scipys(count: int) -> None:
    values = np.random.default_rng(count).normal(0.3, 1, count)
    theirs = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=20_000, rng=0)
    assert sign_flips(values) == pytest.approx(theirs.pvalue, abs=0.015)
    assert sign_flips(np.zeros(3)) == 1.0


def test_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(1).uniform(0, 1, 80)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=0).confidence_interval
    mine = estimate(values.tolist(), [str(number) for number in range(80)])
    assert (mine.low, mine.high) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=0.6)
    assert mine == estimate(values.tolist(), [str(number) for number in range(80)])


def test_rows_that_belong_together_make_the_interval_wider() -> None:
    values = [1.0, 0.0] * 10
    alone = estimate([value for value in values for _ in range(5)], [str(number) for number in range(100)])
    together = estimate([value for value in values for _ in range(5)], [str(number // 5) for number in range(100)])
    assert alone.value == together.value == 50.0
    assert None not in (alone.low, alone.high, together.low, together.high)
    # Five copies of a value say no more than one: the interval is sqrt(5) times as wide.
    ratio = (together.high - together.low) / (alone.high - alone.low)  # type: ignore[operator]
    assert ratio == pytest.approx(5**0.5, rel=0.1)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        values = random.beta(2, 5, 60)
        found = estimate(values.tolist(), [str(number) for number in range(60)])
        held += found.low <= 100 * 2 / 7 <= found.high  # type: ignore[operator]
    assert 0.89 <= held / 200 <= 0.99


def test_nothing_and_one() -> None:
    assert estimate([], []).value is None
    assert estimate([0.5], ["a"]).low is None
    assert pooled([], [], sum).value is None
    assert estimate([0.5, 0.7], ["a", "a"]).low is None


def test_pairs() -> None:
    measure = Measure("x", named("x"))
    ids = tuple(str(number) for number in range(10))
    first = Values(ids, (0,) * 8 + (1,) * 2, ids)
    second = Values((*ids[::-1], "more"), (1, 0) + (1,) * 8 + (0,), (*ids[::-1], "more"))
    found = compared(first, second, measure)
    assert found is not None
    assert (found.count, found.better, found.worse) == (10, 8, 1)
    assert (found.first, found.second, found.difference) == (20.0, 90.0, 70.0)
    assert found.test == "McNemar"
    assert found.p == pytest.approx(stats.binomtest(1, 9).pvalue)
    assert compared(first, Values(("z",), (1,), ("z",)), measure) is None


def test_pairs_of_one_row_are_not_independent() -> None:
    measure = Measure("x", named("x"))
    ids = tuple(str(number) for number in range(12))
    rows = tuple(str(number // 6) for number in range(12))
    found = compared(Values(ids, (0,) * 12, rows), Values(ids, (1,) * 12, rows), measure)
    assert found is not None
    assert found.test == "sign flips"
    assert found.p == 0.5  # two rows say no more


def test_answers_to_one_question_are_combined() -> None:
    measure = Measure("any", named("right"), combine=max)
    lines = [
        {"id": "a", "cluster": "a", "sample": sample, "scores": {"right": float(sample == 2)}} for sample in range(3)
    ]
    found = values_of([*lines, {"id": "b", "cluster": "b", "error": "x"}], measure)
    assert (found.ids, found.values) == (("a",), (1.0,))


def test_less_is_better_where_the_measure_says_so() -> None:
    measure = Measure("Hallucination", named("x"), lower=True)
    ids = tuple("abc")
    found = compared(Values(ids, (1, 1, 0), ids), Values(ids, (0, 0, 0), ids), measure)
    assert found is not None
    assert (found.better, found.worse) == (2, 0)
    assert found.difference < 0
