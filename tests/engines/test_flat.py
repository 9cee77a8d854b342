"""Flat batches: the same answers as row by row, whatever comes and goes; beginnings that are there are taken over."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from swift.engines.adjust import Chooser
from swift.engines.flat import FlatLane
from swift.engines.job import Job
from swift.engines.lanes import Limits
from swift.engines.prefix import common
from swift.engines.probe import flat_is_right
from swift.engines.shape import forward_parameters
from swift.engines.transformers import TransformersEngine
from swift.models.tiny import tiny_model
from swift.types import Ids, Request, Sampling
from tests.engines.support import answers, go_on, reference, texts

FLAT = ("llama", "qwen3", "gemma2", "gemma3_text", "gpt_oss", "mixtral", "phi3", "deepseek_v3", "cohere2", "smollm3")
OTHER = ("bloom", "mpt", "mamba", "falcon")
MakeEngine = Callable[..., TransformersEngine]


def job(number: int, prompt: list[int], limit: int) -> Job:
    return Job(number, prompt, limit, frozenset(), Chooser.new(Sampling()))


def lane(model: torch.nn.Module, **limits: int) -> FlatLane:
    options = {"max_tokens": 10**5, "max_rows": 8, "chunk": 16, **limits}
    return FlatLane(model, forward_parameters(model), before=lambda: None, **options)  # type: ignore[arg-type]


def proved(name: str) -> torch.nn.Module:
    model = tiny_model(name).eval()
    assert flat_is_right(model, forward_parameters(model))
    return model


def alone(model: torch.nn.Module, prompt: list[int], new: int) -> list[int]:
    """Greedy tokens by plain forward passes over everything."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(new):
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("name", FLAT)
def test_the_proof_and_answers_of_all_lengths(name: str) -> None:
    model = proved(name)
    draw = random.Random(name)
    jobs = [job(n, draw.choices(range(3, 250), k=draw.randint(1, 90)), draw.randint(1, 40)) for n in range(9)]
    mine = lane(model, max_rows=4)
    for one in jobs[:6]:
        mine.add(one)
    while mine.jobs:
        mine.step()
        if jobs[0].ended and not jobs[6].ids:
            for one in jobs[6:]:
                if not any(one is other for other in mine.jobs):
                    mine.add(one)
    for one in jobs:
        assert one.ids == alone(model, one.prompt, one.limit), one.number


@pytest.mark.parametrize("name", OTHER)
def test_models_that_attend_in_their_own_way_are_left_as_they_were(name: str) -> None:
    model = tiny_model(name).eval()
    before = model.config._attn_implementation
    assert not flat_is_right(model, forward_parameters(model))
    assert model.config._attn_implementation == before


def test_a_model_that_would_be_wrong_is_found_out() -> None:
    model = tiny_model("llama").eval()
    original = model.model.layers[1].self_attn.forward

    def wrong(*args: object, **kwargs: object) -> object:
        kwargs["position_embeddings"] = tuple(t.roll(1, 1) for t in kwargs["position_embeddings"])  # type: ignore[attr-defined]
        return original(*args, **kwargs)

    model.model.layers[1].self_attn.forward = wrong
    assert not flat_is_right(model, forward_parameters(model))


def test_beginnings_are_taken_over_from_rows_that_run_and_that_have_ended(make_engine: MakeEngine) -> None:
    engine = make_engine()
    draw = random.Random(1)
    system = draw.choices(range(3, 250), k=50)
    first, second = (system + draw.choices(range(3, 250), k=7) for _ in range(2))

    def ask(ids: list[int]) -> Request:
        return Request(Ids(tuple(ids)), Sampling(max_new_tokens=8, ignore_eos=True))

    one, other = answers(engine.generate([ask(first), ask(second)]))
    assert (one.cached_tokens, other.cached_tokens) == (0, 0)  # both began at once
    again = answers(engine.generate([ask(second)]))[0]
    assert again.token_ids == other.token_ids
    assert again.cached_tokens == len(second) - 1
    longer = first + list(one.token_ids) + [9, 9]
    turn = answers(engine.generate([ask(longer)]))[0]
    assert turn.cached_tokens == len(first) + 7  # the last token of an answer is never fed
    assert list(turn.token_ids) == alone(engine._model, longer, 8)
    assert answers(engine.generate([ask(draw.choices(range(3, 250), k=40))]))[0].cached_tokens == 0


def test_rows_that_start_together_compute_their_beginning_once() -> None:
    model = proved("llama")
    draw = random.Random(0)
    shown = draw.choices(range(3, 250), k=60)
    prompts = [[*shown, *draw.choices(range(3, 250), k=5 + n)] for n in range(6)]
    other = draw.choices(range(3, 250), k=12)
    jobs = [job(n, prompt, 8) for n, prompt in enumerate([*prompts, other])]
    mine = lane(model)
    for one in jobs:
        mine.add(one)
    while mine.jobs:
        mine.step()
    assert [one.ids for one in jobs] == [alone(model, one.prompt, 8) for one in jobs]
    assert sorted(one.cached for one in jobs) == [0, 0, 60, 60, 60, 60, 60]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("tokens", [60, 150, 400])
def test_tight_budgets_change_nothing(make_engine: MakeEngine, tokens: int, live: bool) -> None:
    base = make_engine()
    engine = TransformersEngine(base._model, base.codec, base._chat, limits=Limits(tokens, 5, live))
    requests = [
        go_on(text, max_new_tokens=new, ignore_eos=True)
        for text, new in zip(texts(20, 31, 8, 60, 14, 25, 6), (30, 5, 60, 9, 40, 1, 22), strict=True)
    ]
    for _ in range(2):
        found = answers(engine.generate(requests))
        for request, answer in zip(requests, found, strict=True):
            ids = base.codec.encode_text(request.prompt.text)  # type: ignore[union-attr]
            assert list(answer.token_ids) == alone(base._model, ids, request.sampling.max_new_tokens)


def test_the_cache_stays_within_its_budget(make_engine: MakeEngine) -> None:
    base = make_engine()
    engine = TransformersEngine(base._model, base.codec, base._chat, limits=Limits(600, 6))
    draw = random.Random(0)
    for _ in range(6):
        lengths = draw.choices((4, 20, 120, 300), k=5)
        engine.generate([go_on(text, max_new_tokens=draw.randint(1, 30)) for text in texts(*lengths)])
        (flat,) = engine._lanes._lanes.values()
        rows, width = flat._cache.layers[0].keys.shape[::2]  # type: ignore[attr-defined]
        assert rows * width <= 600 or rows == 1


def test_answers_are_those_of_transformers(make_engine: MakeEngine) -> None:
    engine = make_engine()
    prompts = texts(3, 60, 17, 44)
    found = answers(engine.generate([go_on(text, max_new_tokens=20) for text in prompts]))
    expected = [reference(engine._model, engine.codec, text, 20) for text in prompts]
    assert [list(answer.token_ids) for answer in found] == expected


@pytest.mark.parametrize("seed", range(20))
def test_the_common_beginning(seed: int) -> None:
    draw = random.Random(seed)
    one, other = ([draw.randint(0, 2) for _ in range(draw.randint(0, 12))] for _ in range(2))
    limit = draw.randint(0, 12)
    expected = 0
    while expected < min(len(one), len(other), limit) and one[expected] == other[expected]:
        expected += 1
    assert common(one, other, min(limit, len(one))) == expected


def test_long_answers_begin_first_where_all_are_there() -> None:
    model = proved("llama")
    mine = lane(model, max_rows=2)
    for number, new in enumerate([12, 2, 2, 2, 2, 2, 2]):
        mine.add(job(number, [5, 6, 7], new))
    steps = 0
    while mine.jobs:
        mine.step()
        steps += 1
    assert steps <= 14  # 24 tokens in two rows; with the long answer in the end it would be 18
