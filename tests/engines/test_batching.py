"""Rows that leave and join, and the budget they run under."""

from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache

from swift.engines.adjust import Chooser
from swift.engines.batching import RowBatch
from swift.engines.cache import FullLayer, new_cache
from swift.engines.job import Job
from swift.engines.schedule import Schedule
from swift.engines.shape import forward_parameters
from swift.models.tiny import tiny_model
from swift.types import Sampling


class Counting(RowBatch):
    """Notes the shape of every forward pass."""

    def _forward(self, ids, positions, mask, cache):
        self.passes.append(tuple(ids.shape))
        return super()._forward(ids, positions, mask, cache)


def _job(number, length, limit, seed=0):
    generator = torch.Generator().manual_seed(seed * 1000 + number)
    prompt = torch.randint(3, 300, (length,), generator=generator).tolist()
    return Job(number, prompt, limit, frozenset(), Chooser.new(Sampling()))


def _run(model, jobs, *, tokens=10**6, rows=8):
    batch = Counting(model, forward_parameters(model))
    batch.passes = []
    calls = []
    schedule = Schedule(batch, max_tokens=tokens, max_rows=lambda: rows, before=lambda: calls.append(1))
    for _ in schedule.run(jobs):
        pass
    assert 0 < len(calls) <= len(batch.passes)
    return batch.passes


def test_rows_are_released_as_they_end():
    passes = _run(tiny_model(), [_job(0, 5, 2), _job(1, 5, 10), _job(2, 5, 4)])
    assert passes[0] == (3, 5)
    assert [rows for rows, _ in passes[1:]] == [3, 2, 2, 1, 1, 1, 1, 1, 1]


def test_waiting_rows_join_when_half_of_the_batch_is_done():
    jobs = [_job(n, 6, 2 if n % 2 else 12) for n in range(8)]
    passes = _run(tiny_model(), jobs, rows=4)
    prefills = [shape for shape in passes if shape[1] > 1]
    assert prefills[0] == (4, 6)
    assert sum(rows for rows, _ in prefills) == 8
    assert prefills[1][0] == 2, "the two places that became free are filled at once"
    assert all(len(job.ids) == job.limit for job in jobs)
    steps = len(passes) - len(prefills)
    assert steps < 30


def test_short_prompts_are_not_prefilled_with_the_padding_of_long_ones():
    passes = _run(tiny_model(), [_job(n, length, 2) for n, length in enumerate((200, 10, 190, 12, 11))])
    assert passes == [(2, 200), (3, 12), (5, 1)]


def test_prompts_are_grouped_by_length():
    jobs = [_job(n, length, 1) for n, length in enumerate((5, 50, 6, 48, 7, 52))]
    passes = _run(tiny_model(), jobs, rows=3)
    assert passes == [(3, 52), (3, 7)]


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text"])
def test_rows_beyond_the_budget_wait_and_go_on_where_they_were(model_type):
    model = tiny_model(model_type)
    free = [_job(n, 20 + n, 90) for n in range(4)]
    _run(model, free)
    tight = [_job(n, 20 + n, 90) for n in range(4)]
    passes = _run(model, tight, tokens=180)
    assert max(rows for rows, _ in passes) >= 2
    assert any(length > 24 for _, length in passes), "a row came back with what it had answered already"
    assert [job.ids for job in tight] == [job.ids for job in free]


def test_one_row_may_exceed_the_budget():
    jobs = [_job(0, 300, 3), _job(1, 5, 3)]
    passes = _run(tiny_model(), jobs, tokens=100)
    assert all(rows == 1 for rows, _ in passes)
    assert all(len(job.ids) == 3 for job in jobs)


def test_padding_that_no_row_needs_any_more_is_forgotten():
    model = tiny_model()
    batch = RowBatch(model, forward_parameters(model))
    jobs = [_job(0, 40, 1), _job(1, 7, 9)]
    batch.admit(jobs)
    assert batch.width == 40
    batch.keep([1])
    assert batch.width == 7
    assert batch.jobs == [jobs[1]]


def test_the_growing_layer_holds_what_transformers_layer_holds():
    mine, theirs = FullLayer(), DynamicCache().layers
    assert theirs == []
    reference = torch.zeros(2, 3, 0, 4)
    for length in (5, 1, 1, 200, 1):
        new = torch.randn(2, 3, length, 4)
        reference = torch.cat([reference, new], dim=2)
        keys, values = mine.update(new, new + 1)
        assert torch.equal(keys, reference)
        assert torch.equal(values, reference + 1)
        assert mine.get_seq_length() == reference.shape[2] == mine.get_mask_sizes(0)[0]


@pytest.mark.parametrize(("model_type", "plain"), [("llama", True), ("gemma3_text", True), ("qwen3_next", False)])
def test_which_caches_are_ours(model_type, plain):
    assert (new_cache(tiny_model(model_type).config) is not None) is plain
