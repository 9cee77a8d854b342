import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.data.pack import best_fit, next_fit
from swift.errors import DataError

CASES = st.integers(1, 64).flatmap(
    lambda capacity: st.tuples(st.lists(st.integers(1, capacity), max_size=60), st.just(capacity))
)


def first_fit(lengths: list[int], capacity: int) -> int:
    rooms: list[int] = []
    for size in sorted(lengths, reverse=True):
        fitting = [i for i, room in enumerate(rooms) if room >= size]
        if fitting:
            rooms[fitting[0]] -= size
        else:
            rooms.append(capacity - size)
    return len(rooms)


def slow_best_fit(lengths: list[int], capacity: int) -> list[int]:
    rooms: list[int] = []
    for size in sorted(lengths, reverse=True):
        fitting = [i for i, room in enumerate(rooms) if room >= size]
        if fitting:
            rooms[min(fitting, key=lambda i: rooms[i])] -= size
        else:
            rooms.append(capacity - size)
    return sorted(rooms)


@given(CASES)
def test_best_fit_places_every_sequence_once_and_within_capacity(case):
    lengths, capacity = case
    packs = best_fit(lengths, capacity)
    assert sorted(i for pack in packs for i in pack) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in pack) <= capacity for pack in packs)


@given(CASES)
def test_best_fit_is_best_fit_decreasing(case):
    lengths, capacity = case
    left = sorted(capacity - sum(lengths[i] for i in pack) for pack in best_fit(lengths, capacity))
    assert left == slow_best_fit(lengths, capacity)


@given(CASES)
def test_best_fit_needs_few_packs(case):
    lengths, capacity = case
    lower = -(-sum(lengths) // capacity)
    packs = len(best_fit(lengths, capacity))
    assert lower <= packs <= 11 / 9 * first_fit(lengths, capacity) + 4


@given(CASES, st.randoms())
def test_the_number_of_packs_does_not_depend_on_the_order(case, random):
    lengths, capacity = case
    shuffled = lengths.copy()
    random.shuffle(shuffled)
    assert len(best_fit(shuffled, capacity)) == len(best_fit(lengths, capacity))


def test_best_fit_refuses_what_cannot_fit():
    with pytest.raises(DataError, match="a sequence of 9 tokens does not fit into a pack of 8"):
        best_fit([3, 9], 8)


def test_best_fit_is_fast_and_fills_packs():
    lengths = np.clip(np.random.default_rng(0).lognormal(5.5, 0.8, 50_000).astype(int), 1, 2048)
    began = time.process_time()
    packs = best_fit(lengths, 2048)
    assert time.process_time() - began < 1.0
    assert lengths.sum() / (len(packs) * 2048) > 0.99


@given(CASES)
def test_next_fit_keeps_the_order_and_opens_no_pack_too_many(case):
    lengths, capacity = case
    packs = next_fit(lengths, capacity)
    assert [i for pack in packs for i in pack] == list(range(len(lengths)))
    sums = [sum(lengths[i] for i in pack) for pack in packs]
    assert all(0 < total <= capacity for total in sums)
    assert all(total + lengths[after[0]] > capacity for total, after in zip(sums, packs[1:], strict=False))


def test_next_fit_gives_a_longer_sequence_a_pack_of_its_own():
    assert next_fit([2, 9, 1, 1], 4) == [[0], [1], [2, 3]]
