import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.data.order import Share, permutation, plan_epoch, slots
from swift.errors import ConfigError

LENGTHS = st.lists(st.integers(2, 50), min_size=1, max_size=120).map(lambda values: np.array(values, np.int32))
CONFIGS = st.one_of(
    st.builds(BatchConfig, size=st.integers(1, 9), accumulation=st.none() | st.integers(1, 5)),
    st.builds(BatchConfig, size=st.integers(1, 4), accumulation=st.none() | st.integers(1, 5), packing=st.just(True)),
    st.builds(BatchConfig, accumulation=st.none() | st.integers(1, 5), max_tokens=st.integers(10, 200)),
)


def planned(lengths, config, *, epoch=0, shuffle=True, padding_free=True):
    data = DataConfig(shuffle=shuffle, seed=7)
    return plan_epoch(lengths, config, data, max_length=50, epoch=epoch, padding_free=padding_free)


@given(LENGTHS, CONFIGS, st.booleans(), st.booleans())
def test_every_sequence_is_in_exactly_one_micro_batch(lengths, config, shuffle, padding_free):
    padding_free = padding_free or config.packing
    plan = planned(lengths, config, shuffle=shuffle, padding_free=padding_free)
    assert sorted(np.concatenate(plan.micro_batches).tolist()) == list(range(len(lengths)))
    assert [m.tolist() for s in range(plan.steps) for m in plan.step(s)] == [m.tolist() for m in plan.micro_batches]


@given(LENGTHS, CONFIGS, st.booleans())
def test_micro_batches_keep_to_their_limits(lengths, config, shuffle):
    for padding_free in {True, config.packing}:
        for indices in planned(lengths, config, shuffle=shuffle, padding_free=padding_free).micro_batches:
            taken = slots(lengths[indices].astype(np.int64), padding_free=padding_free)
            if config.packing:
                assert taken <= config.size * 50
            elif config.max_tokens is not None:
                assert taken <= config.max_tokens or indices.size == 1
            else:
                assert indices.size <= config.size


@given(LENGTHS, CONFIGS, st.booleans())
def test_without_shuffling_the_order_is_exactly_as_given(lengths, config, padding_free):
    plan = planned(lengths, config, shuffle=False, padding_free=padding_free or config.packing)
    assert np.concatenate(plan.micro_batches).tolist() == list(range(len(lengths)))


@given(LENGTHS, CONFIGS, st.booleans())
def test_epochs_differ_and_have_equally_many_micro_batches(lengths, config, padding_free):
    padding_free = padding_free or config.packing
    first, second = (planned(lengths, config, epoch=epoch, padding_free=padding_free) for epoch in (0, 1))
    assert len(first.micro_batches) == len(second.micro_batches)
    assert first.accumulation == second.accumulation
    again = planned(lengths, config, epoch=1, padding_free=padding_free)
    assert [m.tolist() for m in again.micro_batches] == [m.tolist() for m in second.micro_batches]


def test_shuffling_mixes_and_each_epoch_anew():
    lengths = np.full(100, 5)
    first, second = (np.concatenate(planned(lengths, BatchConfig(), epoch=epoch).micro_batches) for epoch in (0, 1))
    assert first.tolist() != second.tolist() != list(range(100))


@given(LENGTHS, st.sampled_from([True, False]), st.booleans())
def test_steps_hold_the_same_sequences_however_they_are_split(lengths, padding_free, shuffle):
    plans = [
        planned(lengths, BatchConfig(size=size, accumulation=8 // size), padding_free=padding_free, shuffle=shuffle)
        for size in (8, 4, 2, 1)
    ]
    steps = [[set(np.concatenate(plan.step(s)).tolist()) for s in range(plan.steps)] for plan in plans]
    assert steps[0] == steps[1] == steps[2] == steps[3]


def test_grouping_by_length_saves_padding():
    lengths = np.random.default_rng(0).integers(2, 500, 2000)

    def padding(config):
        plan = planned(lengths, config, padding_free=False)
        return sum(slots(lengths[m], padding_free=False) for m in plan.micro_batches) / lengths.sum() - 1

    assert padding(BatchConfig(size=4, group_by_length=False)) > 0.5
    assert padding(BatchConfig(size=4)) < 0.05
    assert padding(BatchConfig(max_tokens=2000)) < 0.25


def test_grouped_steps_come_at_random():
    lengths = np.arange(2, 2002)
    plan = planned(lengths, BatchConfig(size=4), padding_free=False)
    longest = [lengths[np.concatenate(plan.step(s))].max() for s in range(plan.steps)]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("config", "accumulation"),
    [
        (BatchConfig(), 16),
        (BatchConfig(size=4), 4),
        (BatchConfig(size=5), 4),
        (BatchConfig(size=64), 1),
        (BatchConfig(size=64, accumulation=3), 3),
        (BatchConfig(packing=True), 4),  # 10 sequences of 5 tokens would fit, of 12 tokens 4 do
        (BatchConfig(max_tokens=24), 8),
    ],
)
def test_a_step_takes_about_sixteen_sequences_by_default(config, accumulation):
    assert planned(np.full(160, 12), config).accumulation == accumulation


def test_packing_needs_a_padding_free_model():
    with pytest.raises(ConfigError, match="packing needs a model"):
        planned(np.array([3]), BatchConfig(packing=True), padding_free=False)


def test_permutations_are_the_same_on_every_machine():
    assert permutation(8, 42, 0).tolist() == [4, 1, 3, 6, 0, 7, 2, 5]
    assert permutation(5, -1).tolist() == permutation(5, 2**64 - 1).tolist()


@given(LENGTHS, CONFIGS, st.integers(1, 4), st.booleans())
def test_several_processes_share_the_steps_of_one(lengths, config, ranks, padding_free):
    """Their plan is that of one process which accumulates as many times more, and each micro-batch is in one share."""
    padding_free = padding_free or config.packing
    data = DataConfig(seed=7)
    plan = plan_epoch(lengths, config, data, max_length=50, epoch=0, padding_free=padding_free, ranks=ranks)
    assert plan.accumulation % ranks == 0
    if config.accumulation is not None:
        assert plan.accumulation == ranks * config.accumulation
    alone = planned(lengths, config.model_copy(update={"accumulation": plan.accumulation}), padding_free=padding_free)
    sizes = lengths.astype(np.int64)
    for number in range(plan.steps):
        step = plan.step(number)
        assert [m.tolist() for m in step] == [m.tolist() for m in alone.step(number)]
        shares = [Share(rank, ranks).of(step, sizes, padding_free=padding_free) for rank in range(ranks)]
        assert sorted(m.tolist() for share in shares for m in share) == sorted(m.tolist() for m in step)
        work = [sum(slots(sizes[m], padding_free=padding_free) for m in share) for share in shares]
        largest = max(slots(sizes[m], padding_free=padding_free) for m in step)
        assert max(work) - min(work) <= largest


def test_a_step_keeps_its_sequences_however_many_processes_share_it():
    lengths = np.full(200, 10)
    for ranks, accumulation in ((1, 16), (2, 16), (4, 16), (3, 18), (32, 32)):
        plan = plan_epoch(lengths, BatchConfig(), DataConfig(), max_length=50, epoch=0, ranks=ranks)
        assert plan.accumulation == accumulation
