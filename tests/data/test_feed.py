import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.data.encode import encode_sources
from swift.data.feed import EvaluationBatches, MapFeed, Position
from swift.data.ledger import Ledger
from swift.data.order import Share
from swift.data.slices import sliced
from swift.errors import DataError
from tests.data.toy import ToyEncoder, ToySource, selection

ROWS = 37
TEXTS = tuple("ab" * (1 + (7 * n) % 11) + "!" for n in range(ROWS))
CHOSEN = selection(ToySource(TEXTS))
CONFIGS = st.sampled_from(
    [
        BatchConfig(size=8, accumulation=1),
        BatchConfig(size=3, accumulation=2),
        BatchConfig(size=2),
        BatchConfig(packing=True, size=2, accumulation=2),
        BatchConfig(packing=True),
        BatchConfig(max_tokens=40, accumulation=3),
    ]
)


@pytest.fixture(scope="module")
def store():
    return encode_sources(CHOSEN, ToyEncoder(), workers=0, cache_dir=None, ledger=Ledger(), progress=False)


def feed(store, config, *, epochs=1.0, max_steps=None, shuffle=True, padding_free=True, rows=None, **more):
    return MapFeed(
        store,
        CHOSEN.train if rows is None else rows,
        batch=config,
        data=DataConfig(shuffle=shuffle),
        max_length=32,
        epochs=epochs,
        max_steps=max_steps,
        padding_free=padding_free or config.packing,
        pad_id=0,
        **more,
    )


def seen(steps):
    """Of each step: the ids and rows of each micro-batch, and the position after it."""
    return [([(b.input_ids.tolist(), b.origins) for b in batches], position) for batches, position in steps]


def rows_of(steps):
    return [[origin.index for batch, _ in step for origin in _] for step, _ in steps]


@given(CONFIGS, st.booleans(), st.booleans())
def test_an_epoch_is_every_row_once(store, config, padding_free, shuffle):
    one = feed(store, config, padding_free=padding_free, shuffle=shuffle)
    steps = seen(one.steps(Position()))
    indices = [origin.index for step, _ in steps for _, origins in step for origin in origins]
    assert sorted(indices) == list(range(1, ROWS + 1))
    assert shuffle or indices == sorted(indices)
    assert len(steps) == one.total_steps == one.steps_per_epoch
    assert all(len(step) == one.accumulation for step, _ in steps[:-1])
    assert steps[-1][1] == Position(1, 0)


@given(CONFIGS, st.sampled_from([1.0, 0.4, 2.5]), st.integers(0, 200))
def test_resuming_anywhere_gives_the_remaining_batches(store, config, epochs, place):
    whole = seen(feed(store, config, epochs=epochs).steps(Position()))
    place %= len(whole)
    position = Position(**json.loads(json.dumps(asdict(whole[place][1]))))
    assert seen(feed(store, config, epochs=epochs).steps(position)) == whole[place + 1 :]


@given(st.booleans(), st.booleans())
def test_steps_hold_the_same_rows_however_they_are_split(store, padding_free, shuffle):
    def rows(size):
        config = BatchConfig(size=size, accumulation=8 // size)
        steps = seen(feed(store, config, epochs=2, padding_free=padding_free, shuffle=shuffle).steps(Position()))
        return [sorted(o.index for _, origins in step for o in origins) for step, _ in steps]

    assert rows(8) == rows(4) == rows(2) == rows(1)


@pytest.mark.parametrize(
    ("epochs", "max_steps", "total"), [(1.0, None, 5), (2.0, None, 10), (0.5, None, 3), (0.01, None, 1), (1.0, 12, 12)]
)
def test_number_of_steps(store, epochs, max_steps, total):
    one = feed(store, BatchConfig(size=8, accumulation=1), epochs=epochs, max_steps=max_steps)
    assert one.total_steps == total
    assert len(list(one.steps(Position()))) == total


def test_the_last_step_of_an_epoch_takes_what_is_left(store):
    steps = [batches for batches, _ in feed(store, BatchConfig(size=4, accumulation=4)).steps(Position())]
    assert [sum(len(batch.origins) for batch in batches) for batches in steps] == [16, 16, 5]


def test_each_epoch_has_another_order(store):
    one = feed(store, BatchConfig(size=8, accumulation=1), epochs=2)
    steps = seen(one.steps(Position()))
    assert [s for s, _ in steps[:5]] != [s for s, _ in steps[5:]]


def test_repeated_rows_are_repeated(store):
    rows = np.concatenate([CHOSEN.train, CHOSEN.train[:3]])
    steps = seen(feed(store, BatchConfig(size=8), rows=rows, shuffle=False).steps(Position()))
    indices = [origin.index for step, _ in steps for _, origins in step for origin in origins]
    assert indices == [*range(1, ROWS + 1), 1, 2, 3]


def test_packs_are_full_and_within_max_length(store):
    one = feed(store, BatchConfig(packing=True, size=2, accumulation=1))
    tokens = [batch.tokens for batches, _ in one.steps(Position()) for batch in batches]
    assert max(tokens) <= 2 * 32
    assert sum(tokens) / (len(tokens) * 64) > 0.8


@pytest.mark.parametrize("padding_free", [True, False])
def test_the_largest_micro_batch_is_known(store, padding_free):
    config = BatchConfig(size=4)
    plain = feed(store, config, padding_free=padding_free)
    largest = max(batch.slots for batches, _ in plain.steps(Position()) for batch in batches)
    assert plain.largest().slots == largest


@pytest.mark.parametrize("padding_free", [True, False])
@pytest.mark.parametrize("limit", [1, 40, 1000])
def test_the_largest_slice_of_all_micro_batches_is_known(store, padding_free, limit):
    one = feed(store, BatchConfig(size=4), padding_free=padding_free)
    batches = [batch for step, _ in one.steps(Position()) for batch in step]
    largest = max(piece.slots for batch in batches for piece in sliced(batch, limit))
    longest = int(one.lengths.max())
    assert largest <= max(limit, longest)
    assert one.largest(limit).slots in range(min(longest, largest), largest + 1)
    if limit != 40:  # where slices are neither whole micro-batches nor sequences, the bound decides
        assert one.largest(limit).slots == largest


def test_no_row_left_is_one_clear_error(store):
    with pytest.raises(DataError, match="no row is left to train on"):
        feed(store, BatchConfig(), rows=CHOSEN.train[:0])


@given(CONFIGS, st.booleans())
def test_evaluation_covers_every_row_once_within_the_budget(store, config, padding_free):
    batches = EvaluationBatches(store, CHOSEN.train, batch=config, max_length=32, padding_free=padding_free, pad_id=0)
    made = list(batches)
    assert len(made) == len(batches)
    assert sorted(o.index for batch in made for o in batch.origins) == list(range(1, ROWS + 1))
    assert all(batch.slots <= (config.max_tokens or config.size * 32) for batch in made)
    assert sum(batch.count for batch in made) == store.targets.sum()
    assert [b.input_ids.tolist() for b in batches] == [b.input_ids.tolist() for b in made]


@given(CONFIGS, st.booleans(), st.integers(2, 3))
def test_processes_take_disjoint_shares_and_stand_at_the_same_place(store, config, padding_free, ranks):
    config = config.model_copy(update={"accumulation": config.accumulation or 2})
    shares = [
        seen(feed(store, config, padding_free=padding_free, share=Share(rank, ranks)).steps(Position()))
        for rank in range(ranks)
    ]
    more = config.model_copy(update={"accumulation": ranks * config.accumulation})
    whole = seen(feed(store, more, padding_free=padding_free).steps(Position()))
    assert [position for _, position in shares[0]] == [position for _, position in whole]
    for number, (step, position) in enumerate(whole):
        parts = [share[number] for share in shares]
        assert all(part[1] == position for part in parts)
        assert sorted((batch for part, _ in parts for batch in part), key=repr) == sorted(step, key=repr)
