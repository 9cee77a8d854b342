"""Sampling, splitting and interleaving by number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.data.mix import check_weights, generator, interleave, sample, set_aside
from swift.errors import ConfigError


@given(size=st.integers(1, 50), count=st.none() | st.integers(1, 200), seed=st.integers(-5, 5))
def test_sample_repeats_whole_passes(size: int, count: int | None, seed: int) -> None:
    found = sample(size, count, generator(seed))
    wanted = size if count is None else count
    times = np.bincount(found, minlength=size)
    assert len(found) == wanted
    assert set(times.tolist()) <= {wanted // size, -(-wanted // size)}
    whole = wanted // size * size
    assert np.array_equal(found[:whole], np.tile(np.arange(size), wanted // size))
    assert np.all(np.diff(found[whole:]) > 0)
    assert np.array_equal(found, sample(size, count, generator(seed)))


def test_samples_differ_by_seed() -> None:
    assert not np.array_equal(sample(1000, 10, generator(1)), sample(1000, 10, generator(2)))


@given(size=st.integers(1, 40), count=st.integers(1, 100), ratio=st.floats(0.0, 0.9))
def test_no_row_is_on_both_sides(size: int, count: int, ratio: float) -> None:
    rows = sample(size, count, generator(0))
    train, validation = set_aside(rows, ratio, generator(1))
    distinct = len(np.unique(rows))
    assert not set(train.tolist()) & set(validation.tolist())
    assert set(train.tolist()) | set(validation.tolist()) == set(rows.tolist())
    assert len(np.unique(validation)) == len(validation)
    if ratio > 0 and distinct > 1:
        assert len(validation) == min(max(round(distinct * ratio), 1), distinct - 1)
    else:
        assert len(validation) == 0


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    weighted=st.booleans(),
    stopping=st.sampled_from(["first_exhausted", "all_exhausted"]),
)
def test_interleave_ends_with_the_last_row_of_a_set(sizes: list[int], weighted: bool, stopping: str) -> None:
    weights = check_weights([1 + number for number in range(len(sizes))], len(sizes)) if weighted else None
    chosen, positions = interleave(sizes, weights, stopping, generator(3))  # type: ignore[arg-type]
    used = np.bincount(chosen, minlength=len(sizes))
    last = int(chosen[-1])
    if stopping == "first_exhausted":
        assert used[last] == sizes[last]
        assert all(used[number] < size for number, size in enumerate(sizes) if number != last)
    else:
        assert used[last] == sizes[last]
        assert all(used[number] >= size for number, size in enumerate(sizes))
    for number, size in enumerate(sizes):
        assert np.array_equal(positions[chosen == number], np.arange(used[number]) % size)


def test_interleave_takes_turns_or_follows_weights() -> None:
    assert interleave([3, 3], None, "first_exhausted", generator(0))[0].tolist() == [0, 1, 0, 1, 0]
    chosen, _ = interleave([100_000, 100_000], (0.9, 0.1), "first_exhausted", generator(0))
    assert abs(np.mean(chosen == 1) - 0.1) < 0.005


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "interleave_prob has 1 values for 2 data sets"),
        ([1.0, 0.0], "interleave_prob 0.0 is not positive"),
        ([1.0, -2.0], "interleave_prob -2.0 is not positive"),
    ],
)
def test_bad_weights(weights: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_weights(weights, 2)
