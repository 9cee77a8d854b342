"""Slices hold every sequence once, as collation alone would have laid it out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swift.data.collate import collate
from swift.data.slices import CPU_SLICE, ONE_BY_ONE, largest_piece, slice_limit, sliced
from swift.types import Origin, Tokens

PAD = 99


def samples_of(rows):
    return [
        Tokens(np.array([i for i, _ in row], np.int32), np.array([w for _, w in row], np.float32), Origin("a", number))
        for number, row in enumerate(rows, 1)
    ]


SAMPLES = st.lists(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from([0.0, 1.0, 0.5])), min_size=1, max_size=9),
    min_size=1,
    max_size=7,
).map(samples_of)


def assert_equal(one, other):
    for name in ("input_ids", "position_ids", "targets", "target_index", "weights", "attention_mask"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None and right is None) or torch.equal(left, right), name
    assert (one.boundaries, one.tokens, one.origins) == (other.boundaries, other.tokens, other.origins)


@given(SAMPLES, st.booleans(), st.one_of(st.none(), st.integers(0, 40)))
def test_each_slice_is_what_its_sequences_collate_to(samples, padding_free, limit):
    batch = collate(samples, padding_free=padding_free, pad_id=PAD)
    pieces = sliced(batch, limit)
    assert [origin for piece in pieces for origin in piece.origins] == list(batch.origins)
    begin = 0
    for piece in pieces:
        mine = samples[begin : begin + len(piece.origins)]
        begin += len(mine)
        assert_equal(piece, collate(mine, padding_free=padding_free, pad_id=PAD))
        assert limit is None or piece.slots <= limit or len(mine) == 1
    assert largest_piece(batch, limit).slots == max(piece.slots for piece in pieces)


@given(SAMPLES, st.booleans())
def test_one_by_one(samples, padding_free):
    batch = collate(samples, padding_free=padding_free, pad_id=PAD)
    assert [len(piece.origins) for piece in sliced(batch, ONE_BY_ONE)] == [1] * len(samples)


@given(SAMPLES, st.integers(1, 40))
def test_no_two_neighbours_would_fit_into_one(samples, limit):
    pieces = sliced(collate(samples, padding_free=True, pad_id=PAD), limit)
    sizes = [piece.slots for piece in pieces]
    first = [piece.boundaries[1] for piece in pieces]
    assert all(size + following > limit for size, following in zip(sizes, first[1:], strict=False))


@pytest.mark.parametrize(
    ("wanted", "device", "limit"),
    [
        (None, "cpu", CPU_SLICE),
        (None, "cuda", None),
        (0, "cpu", None),
        (0, "cuda", None),
        (7, "cpu", 7),
        (7, "cuda", 7),
    ],
)
def test_the_limit_where_nothing_is_said(wanted, device, limit):
    assert slice_limit(wanted, torch.device(device)) == limit
