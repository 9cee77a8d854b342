"""The engine against transformers' own generation, on tiny models in float32."""

from __future__ import annotations

import pytest
import torch

from swift.config.chat import ChatConfig
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.errors import RowError
from swift.models.tiny import tiny_model
from swift.types import Completion
from tests.engines.support import answers, ask, go_on, reference, texts

PLAIN = ["llama", "qwen3", "gemma2", "gemma3_text", "gpt2", "opt", "bloom", "mistral", "mixtral"]
LENGTHS = (3, 90, 15, 15, 180, 40, 7)
NEW = (3, 20, 70, 5, 20, 1, 30)


@pytest.mark.parametrize("model_type", PLAIN)
def test_a_batch_gives_what_transformers_gives_alone(model_type, make_engine, codec):
    engine = make_engine(model_type, tokens=900, rows=3)
    prompts = texts(*LENGTHS)
    found = answers(engine.generate([go_on(t, max_new_tokens=n) for t, n in zip(prompts, NEW, strict=True)]))
    for text, new, answer in zip(prompts, NEW, found, strict=True):
        assert list(answer.token_ids) == reference(engine._model, codec, text, new)
        assert answer.prompt_tokens == len(codec.encode_text(text))
    assert "own batched loop" in engine.description


@pytest.mark.parametrize("model_type", ["mamba", "qwen3_next"])
def test_models_with_other_states_take_the_other_path(model_type, codec):
    model = tiny_model(model_type)
    engine = TransformersEngine(model, codec, ChatConfig(), limits=Limits(900, 2))
    prompts = texts(6, 6, 20)
    found = answers(engine.generate([go_on(t, max_new_tokens=6) for t in prompts]))
    assert [list(a.token_ids) for a in found] == [reference(model, codec, t, 6) for t in prompts]
    assert "transformers generate" in engine.description
    assert "".join(engine.stream(go_on(prompts[2], max_new_tokens=6))) == found[2].text


def test_a_bad_request_has_its_error_in_its_place(make_engine):
    engine = make_engine()
    long = go_on("a b c d " * 600, max_new_tokens=4)
    good, bad, unknown, last = engine.generate(
        [go_on("one", max_new_tokens=4), long, go_on("x", adapter="nobody"), go_on("two", max_new_tokens=4)]
    )
    assert isinstance(good, Completion)
    assert isinstance(last, Completion)
    assert isinstance(bad, RowError)
    assert bad.reason == "too_long"
    assert isinstance(unknown, RowError)
    assert unknown.reason == "unknown_adapter"


def test_new_tokens_end_at_the_model_s_context(make_engine, codec):
    engine = make_engine()
    text = texts(900)[0]
    room = 1024 - len(codec.encode_text(text))
    answer = answers(engine.generate([go_on(text, max_new_tokens=10**6)]))[0]
    assert answer.finish == "length" or len(answer.token_ids) < room
    assert len(answer.token_ids) <= room


def test_finish_says_why(make_engine, codec):
    engine = make_engine()
    free = answers(engine.generate([go_on("the week", max_new_tokens=12)]))[0]
    assert free.finish == "length"
    assert len(free.token_ids) == 12
    stopping = codec.__class__(**{**codec.__dict__, "eos_ids": frozenset({free.token_ids[4]})})
    ended = answers(
        TransformersEngine(engine._model, stopping, ChatConfig()).generate([go_on("the week", max_new_tokens=12)])
    )[0]
    first = free.token_ids.index(free.token_ids[4])
    assert ended.finish == "stop"
    assert ended.token_ids == free.token_ids[: first + 1]
    assert ended.text == codec.decode(free.token_ids[:first])


def test_stop_texts_end_the_answer_and_are_no_part_of_it(make_engine):
    engine = make_engine()
    free = answers(engine.generate([go_on("the week", max_new_tokens=40)]))[0]
    stop = free.text[10:13]
    cut = free.text.index(stop)
    request = go_on("the week", max_new_tokens=40, stop=("never there", stop))
    stopped = answers(engine.generate([request, go_on("a", max_new_tokens=3)]))[0]
    assert stopped.text == free.text[:cut]
    assert stopped.finish == "stop"
    assert len(stopped.token_ids) < len(free.token_ids)
    assert "".join(engine.stream(request)) == stopped.text


def test_streamed_pieces_join_to_the_answer(make_engine):
    engine = make_engine()
    done = []
    request = ask("how are you?", max_new_tokens=60, temperature=2.0, seed=3)
    pieces = list(engine.stream(request, on_done=lambda number, answer: done.append((number, answer))))
    whole = answers(engine.generate([request]))[0]
    assert len(pieces) > 5
    assert "".join(pieces) == whole.text
    assert done == [(0, whole)]


def test_seeds_repeat_whatever_else_is_in_the_batch(make_engine):
    engine = make_engine()
    rules = {"max_new_tokens": 20, "temperature": 1.3, "top_p": 0.95, "top_k": 80, "min_p": 0.001}
    mine = ask("hello", seed=7, **rules)
    others = [ask(f"number {n}", seed=n, **rules) for n in range(5)]
    alone = answers(engine.generate([mine]))[0]
    among = answers(engine.generate([*others[:3], mine, *others[3:]]))[3]
    assert alone.token_ids == among.token_ids
    assert alone.token_ids != answers(engine.generate([ask("hello", seed=8, **rules)]))[0].token_ids
    unseeded = [ask("hello", **rules), ask("hello", **rules)]
    first, second = answers(engine.generate(unseeded))
    assert first.token_ids != second.token_ids


def test_done_is_told_as_rows_end(make_engine):
    engine = make_engine()
    order = []
    requests = [go_on(t, max_new_tokens=n) for t, n in zip(texts(20, 20, 20), (30, 2, 10), strict=True)]
    results = engine.generate(requests, on_done=lambda number, answer: order.append((number, answer)))
    assert [number for number, _ in order] == [1, 2, 0]
    assert [answer for _, answer in order] == [results[1], results[2], results[0]]


def test_streams_of_one_engine_may_interleave(make_engine):
    engine = make_engine()
    requests = [ask("one", max_new_tokens=12), ask("two and three", max_new_tokens=12)]
    first, second = (engine.stream(request) for request in requests)
    texts_found = ["", ""]
    for a, b in zip(first, second, strict=False):
        texts_found[0] += a
        texts_found[1] += b
    wholes = answers(engine.generate(requests))
    for found, whole in zip(texts_found, wholes, strict=True):
        assert whole.text.startswith(found)
        assert found


def test_no_gradients_and_no_requests(make_engine):
    engine = make_engine()
    assert engine.generate([]) == []
    answers(engine.generate([ask("x", max_new_tokens=2)]))
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in engine._model.parameters())
