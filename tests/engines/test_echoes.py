"""Prompts judged beside requests that are answered, against plain transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from swift.config.chat import ChatConfig
from swift.engines import chances, likelihood
from swift.engines.adapters import attach_any
from swift.engines.base import Event, Piece
from swift.engines.transformers import TransformersEngine
from swift.errors import RowError, SwiftError
from swift.models.tiny import save_tiny, tiny_model
from swift.types import Echo, EchoRequest, Ids
from tests.engines.support import answers, go_on, save_adapter, texts

MakeEngine = Callable[..., TransformersEngine]


def submit(engine: TransformersEngine, ids: Any, **options: Any) -> list[Event]:
    heard: list[Event] = []
    engine.submit(EchoRequest(Ids(tuple(ids)), **options), heard.append)
    return heard


def run(engine: TransformersEngine) -> None:
    while engine.step():
        pass


@torch.no_grad()
def require_alone(engine: TransformersEngine, ids: list[int], echo: Any, top: int) -> None:
    """What the whole model says of the prompt alone."""
    assert isinstance(echo, Echo), echo
    logprobs = engine.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    assert (echo.first, echo.prompt_tokens) == (engine.codec.decode(ids[:1]), len(ids))
    for place, told in enumerate(echo.tokens, 1):
        row = logprobs[place - 1]
        assert (told.id, told.text) == (ids[place], engine.codec.decode([ids[place]]))
        assert told.logprob == pytest.approx(float(row[ids[place]]), rel=1e-4)
        values, best = row.topk(top) if top else (torch.empty(0), torch.empty(0))
        assert [other.logprob for other in told.top] == pytest.approx(values.tolist(), rel=1e-4)
        assert [other.id for other in told.top] == best.tolist()


@pytest.mark.parametrize("block", [chances._BLOCK, 3000])
@pytest.mark.parametrize("model_type", ["llama", "gemma2", "mamba"])
def test_prompts_are_judged_beside_answers(
    model_type: str, block: int, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chances, "_BLOCK", block)
    engine = make_engine(model_type)
    engine.score_ids([], lambda number, scored: None)
    prompts = [engine.codec.encode(text) for text in texts(30, 30, 9, 60)]
    prompts.append(prompts[0][:7])
    request = go_on("the capital", max_new_tokens=12)
    alone = answers(make_engine(model_type).generate([request]))[0]
    spoken: list[Event] = []
    engine.submit(request, spoken.append)
    heard = [submit(engine, prompt, top=number) for number, prompt in enumerate(prompts)]
    run(engine)
    assert spoken[-1] == alone
    for number, prompt in enumerate(prompts):
        (echo,) = heard[number]
        require_alone(engine, prompt, echo, number)


def test_answers_go_on_while_a_long_prompt_is_judged(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "BATCH_ON_CPU", 16)
    engine = make_engine()
    submit(engine, [5])  # so that everything is proved
    run(engine)
    long = submit(engine, [number % 90 for number in range(600)])
    spoken: list[Event] = []
    engine.submit(go_on("the capital", max_new_tokens=12), spoken.append)
    for _ in range(30):
        assert engine.step()
    assert not isinstance(spoken[-1], Piece)
    assert not long
    run(engine)
    assert isinstance(long[0], Echo)


def test_each_adapter_judges_for_itself(tmp_path: Path, codec: Any) -> None:
    folder = save_tiny(tmp_path / "model", "llama")
    adapter = save_adapter(tmp_path / "adapter", folder, seed=1)
    model = tiny_model("llama")
    switch = attach_any(model, {"one": adapter}, dtype=torch.float32)
    engine = TransformersEngine(model, codec, ChatConfig(), switch=switch)
    prompt = codec.encode(texts(30)[0])
    heard = {name: submit(engine, prompt, adapter=name, top=1) for name in ("one", "base")}
    again = submit(engine, prompt, top=1)
    run(engine)
    assert heard["one"] == again
    assert heard["one"] != heard["base"]
    switch.activate("base")
    require_alone(engine, prompt, heard["base"][0], 1)
    switch.activate("one")
    require_alone(engine, prompt, heard["one"][0], 1)


def test_what_is_cancelled_is_not_computed(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "BATCH_ON_CPU", 16)
    engine = make_engine()
    short, long = [number % 50 for number in range(60)], [60 + number % 30 for number in range(900)]
    kept = submit(engine, short)
    heard: list[Event] = []
    ticket = engine.submit(EchoRequest(Ids(tuple(long))), heard.append)
    for _ in range(6):
        assert engine.step()
    assert isinstance(kept[0], Echo)
    engine.cancel(ticket)
    steps = 0
    while engine.step():
        steps += 1
    assert steps <= 1
    assert not heard
    again, other = submit(engine, long), submit(engine, short)
    engine.step()
    engine.cancel(ticket)
    run(engine)
    require_alone(engine, long, again[0], 0)
    assert other == kept


def test_one_of_several_is_cancelled(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "BATCH_ON_CPU", 16)
    engine = make_engine()
    first, second, third = ([*range(20), *([number] * 300)] for number in (30, 40, 50))
    kept = submit(engine, first)
    heard: list[Event] = []
    ticket = engine.submit(EchoRequest(Ids(tuple(second))), heard.append)
    last = submit(engine, third)
    while not kept:
        engine.step()
    engine.step()
    engine.cancel(ticket)
    steps = 0
    while engine.step():
        steps += 1
    assert steps < 2 * 300 // 16
    assert not heard
    require_alone(engine, third, last[0], 0)


def test_what_cannot_be_judged(make_engine: MakeEngine) -> None:
    engine = make_engine()
    most = engine.ability.longest
    assert most is not None
    cases = [([], "empty_prompt"), ([10**6], "unknown_token"), ([1] * (most + 2), "too_long")]
    for ids, reason in cases:
        (error,) = submit(engine, ids)
        assert isinstance(error, RowError)
        assert error.reason == reason
    (error,) = submit(engine, [1, 2], adapter="nobody")
    assert isinstance(error, RowError)
    whole = submit(engine, [1] * (most + 1))
    left = submit(engine, [1, 2, 3])
    engine.step()
    engine.fail(SwiftError("over"))
    assert isinstance(left[-1], SwiftError | Echo)
    assert isinstance(whole[-1], SwiftError | Echo)
    assert not engine.step()
