import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from swift.data.collate import collate
from swift.types import Origin, Tokens

PAD = 99


def tokens(ids, weights, index=1):
    return Tokens(np.array(ids, np.int32), np.array(weights, np.float32), Origin("a.jsonl", index))


SAMPLES = st.lists(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from([0.0, 1.0, 0.5])), min_size=1, max_size=9),
    min_size=1,
    max_size=5,
).map(lambda rows: [tokens([i for i, _ in row], [0.0, *[w for _, w in row][1:]]) for row in rows])


def test_padding_free_by_hand():
    batch = collate([tokens([5, 6, 7], [0, 0, 1]), tokens([8, 9], [0, 0.5], 2)], padding_free=True, pad_id=PAD)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.boundaries == (0, 3, 5)
    assert batch.attention_mask is None
    assert batch.targets.tolist() == [7, 9]
    assert batch.target_index.tolist() == [1, 3]
    assert batch.weights.tolist() == [1, 0.5]
    assert (batch.tokens, batch.slots, batch.count) == (5, 5, 2)
    assert [str(origin) for origin in batch.origins] == ["row 1 of a.jsonl", "row 2 of a.jsonl"]


def test_padded_by_hand():
    batch = collate([tokens([8, 9], [0, 0.5]), tokens([5, 6, 7], [0, 0, 1], 2)], padding_free=False, pad_id=PAD)
    assert batch.input_ids.tolist() == [[8, 9, PAD], [5, 6, 7]]
    assert batch.position_ids.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert batch.boundaries is None
    assert batch.attention_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.targets.tolist() == [9, 7]
    assert batch.target_index.tolist() == [0, 4]
    assert (batch.tokens, batch.slots) == (5, 6)


def test_the_first_token_of_a_sequence_is_never_a_target():
    for padding_free in (True, False):
        batch = collate([tokens([1, 2], [1, 1]), tokens([3, 4], [1, 1])], padding_free=padding_free, pad_id=PAD)
        assert batch.targets.tolist() == [2, 4]
        assert batch.target_index.tolist() == [0, 2]


@given(SAMPLES, st.booleans())
def test_each_target_is_predicted_at_the_position_before_it(samples, padding_free):
    batch = collate(samples, padding_free=padding_free, pad_id=PAD)
    expected = [
        (int(s.ids[p]), float(s.weights[p]), p - 1, int(s.ids[p - 1]))
        for s in samples
        for p in range(1, len(s))
        if s.weights[p] > 0
    ]
    flat_ids, flat_positions = batch.input_ids.reshape(-1), batch.position_ids.reshape(-1)
    found = [
        (t, w, int(flat_positions[i]), int(flat_ids[i]))
        for t, w, i in zip(batch.targets.tolist(), batch.weights.tolist(), batch.target_index.tolist(), strict=True)
    ]
    assert found == expected
    assert batch.tokens == sum(len(s) for s in samples)
    assert batch.input_ids.dtype == batch.targets.dtype == batch.target_index.dtype == torch.int64
    assert batch.weights.dtype == torch.float32


@given(SAMPLES)
def test_real_tokens_are_the_same_in_both_layouts(samples):
    flat = collate(samples, padding_free=True, pad_id=PAD)
    padded = collate(samples, padding_free=False, pad_id=PAD)
    assert padded.input_ids[padded.attention_mask].tolist() == flat.input_ids[0].tolist()
    assert padded.position_ids[padded.attention_mask].tolist() == flat.position_ids[0].tolist()
    assert padded.targets.tolist() == flat.targets.tolist()
    assert padded.input_ids[~padded.attention_mask].tolist() == [PAD] * (padded.slots - padded.tokens)
