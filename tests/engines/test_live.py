"""Requests that come and go while others run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from swift.engines.base import Event, Piece
from swift.engines.driver import Driver
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.errors import ResourceError, RowError, SwiftError
from swift.types import Completion, Ids, Request, Sampling
from tests.engines.support import answers, ask, go_on, texts

MakeEngine = Callable[..., TransformersEngine]


def ended(events: list[Event]) -> bool:
    return bool(events) and not isinstance(events[-1], Piece)


def run(engine: TransformersEngine, *heard: list[Event]) -> None:
    while not all(ended(events) for events in heard):
        assert engine.step()


@pytest.mark.parametrize("model_type", ["llama", "mamba"])
def test_late_comers_get_the_answers_that_they_get_alone(make_engine: MakeEngine, model_type: str) -> None:
    engine = make_engine(model_type)
    requests = [go_on(text, max_new_tokens=20) for text in texts(20, 31, 8)]
    alone = [answers(make_engine(model_type).generate([request]))[0] for request in requests]
    heard: list[list[Event]] = [[], [], []]
    for number, request in enumerate(requests):
        engine.submit(request, heard[number].append)
        for _ in range(3):
            engine.step()
    run(engine, *heard)
    assert [events[-1] for events in heard] == alone
    for events in heard:
        pieces = [event for event in events if isinstance(event, Piece)]
        assert "".join(piece.text for piece in pieces) == events[-1].text  # type: ignore[union-attr]
    assert not engine.step()


@pytest.mark.parametrize("model_type", ["llama", "mamba"])
def test_cancelled_requests_are_silent_and_others_go_on(make_engine: MakeEngine, model_type: str) -> None:
    engine = make_engine(model_type)
    kept, left = go_on("the capital", max_new_tokens=30), go_on("the capitel", max_new_tokens=30)
    expected = answers(make_engine(model_type).generate([kept]))[0]
    heard: tuple[list[Event], list[Event]] = ([], [])
    engine.submit(kept, heard[0].append)
    ticket = engine.submit(left, heard[1].append)
    for _ in range(4):
        engine.step()
    engine.cancel(ticket)
    before = len(heard[1])
    run(engine, heard[0])
    assert heard[0][-1] == expected
    assert len(heard[1]) == before
    assert not engine.step()
    engine.cancel(ticket)
    engine.cancel(10**6)
    assert not engine.step()


def test_who_came_first_is_served_first(make_engine: MakeEngine) -> None:
    engine = make_engine(rows=1)
    engine = TransformersEngine(engine._model, engine.codec, engine._chat, limits=Limits(2000, 1, live=True))
    order: list[int] = []
    for number, text in enumerate(texts(8, 40, 20)):
        request = go_on(text, max_new_tokens=4)
        engine.submit(request, lambda event, number=number: order.append(number) if ended([event]) else None)
    while engine.step():
        pass
    assert order == [0, 1, 2]


def test_what_cannot_be_answered_is_told_at_once(make_engine: MakeEngine) -> None:
    engine = make_engine()
    heard: list[Event] = []
    for request in (
        go_on("x", adapter="nobody"),
        replace(go_on("x"), sampling=Sampling(logit_bias=((10**9, 1.0),))),
        Request(Ids(())),
        Request(Ids((1, -1))),
    ):
        engine.submit(request, heard.append)
    assert [event.reason for event in heard if isinstance(event, RowError)] == [
        "unknown_adapter",
        "unknown_token",
        "empty_prompt",
        "unknown_token",
    ]
    assert not engine.step()


def test_ids_are_taken_as_they_are(make_engine: MakeEngine) -> None:
    engine = make_engine()
    text = go_on("the capital of France", max_new_tokens=6)
    ids = Ids(tuple(engine.codec.encode_text("the capital of France")))
    by_text, by_ids = answers(engine.generate([text, Request(ids, text.sampling)]))
    assert by_text == by_ids


def test_log_probabilities_are_those_of_transformers(make_engine: MakeEngine) -> None:
    engine = make_engine()
    request = go_on("the capital of France", max_new_tokens=5, logprobs=3, temperature=1.5, seed=1, min_new_tokens=5)
    answer = answers(engine.generate([request, go_on("is", max_new_tokens=9)]))[0]
    ids = engine.codec.encode_text("the capital of France") + list(answer.token_ids)
    with torch.no_grad():
        expected = engine._model(torch.tensor([ids])).logits[0].log_softmax(-1)[-6:-1]
    assert answer.logprobs is not None
    assert [entry.id for entry in answer.logprobs] == list(answer.token_ids)
    for entry, row in zip(answer.logprobs, expected, strict=True):
        assert entry.logprob == pytest.approx(float(row[entry.id]), abs=1e-4)
        assert [other.id for other in entry.top] == row.topk(3).indices.tolist()
        assert entry.text == engine.codec.decode([entry.id])


def test_going_on_behind_stop_tokens(make_engine: MakeEngine) -> None:
    engine = make_engine()
    free = answers(engine.generate([go_on("the week", max_new_tokens=12)]))[0]
    stop = free.token_ids[4]
    first = free.token_ids.index(stop)
    stopped = answers(engine.generate([go_on("the week", max_new_tokens=12, stop_ids=(stop,))]))[0]
    assert stopped.token_ids == free.token_ids[: first + 1]
    assert stopped.finish == "stop"
    past = answers(engine.generate([go_on("the week", max_new_tokens=12, stop_ids=(stop,), ignore_eos=True)]))[0]
    assert past == free


def test_a_thread_of_its_own(make_engine: MakeEngine) -> None:
    engine = make_engine(rows=8)
    requests = [go_on(text, max_new_tokens=12) for text in texts(20, 31, 8, 14, 25, 6)]
    expected = answers(make_engine().generate(requests))
    driver = Driver(engine)
    heard: list[list[Event]] = [[] for _ in requests]

    def client(number: int) -> None:
        time.sleep(0.003 * number)
        driver.submit(requests[number], heard[number].append)
        while not ended(heard[number]):
            time.sleep(0.001)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [events[-1] for events in heard] == expected
    driver.close()


def test_whoever_waits_is_told_when_it_closes_or_breaks(make_engine: MakeEngine, capsys: Any) -> None:
    engine = make_engine()
    driver = Driver(engine)
    heard: list[Event] = []
    long = go_on("the week", max_new_tokens=900, ignore_eos=True)
    driver.submit(long, heard.append)
    while not heard:
        time.sleep(0.001)
    driver.close()
    assert isinstance(heard[-1], SwiftError)

    class Broken(TransformersEngine):
        def step(self) -> bool:
            self.settle()
            if self._entries:
                raise ZeroDivisionError("inside")
            return False

    broken = Driver(Broken(engine._model, engine.codec, engine._chat))
    heard.clear()
    broken.submit(long, heard.append)
    while not heard:
        time.sleep(0.001)
    assert [str(event) for event in heard] == ["the engine failed: ZeroDivisionError"]
    broken.close()
    assert "inside" in capsys.readouterr().err


def test_no_memory_is_told_and_the_next_request_is_answered(make_engine: MakeEngine) -> None:
    engine = make_engine()
    lane_step = engine._lanes.step
    full = [True]

    def step() -> Any:
        if full and full.pop():
            engine._lanes._turns[next(iter(engine._lanes._turns))] += 1
            raise torch.OutOfMemoryError
        return lane_step()

    engine._lanes.step = step  # type: ignore[method-assign]
    with pytest.raises(ResourceError, match="out of memory with 2 requests"):
        engine.generate([ask("x", max_new_tokens=2), ask("y", max_new_tokens=2)])
    assert isinstance(engine.generate([ask("x", max_new_tokens=2)])[0], Completion)


def test_a_bound_on_prompt_and_answer_together(make_engine: MakeEngine) -> None:
    base = make_engine()
    engine = TransformersEngine(base._model, base.codec, base._chat, limits=Limits(2000, 4, length=40))
    prompt = Ids(tuple(range(5, 35)))
    rules = Sampling(max_new_tokens=30, ignore_eos=True)
    answer = answers(engine.generate([Request(prompt, rules)]))[0]
    assert (len(answer.token_ids), answer.finish) == (10, "length")
    assert engine.ability.longest == 40
    refused = engine.generate([Request(Ids(tuple(range(5, 45))), rules)])[0]
    assert isinstance(refused, RowError)
    assert refused.reason == "too_long"
    most = base.ability.longest
    assert most is not None
    wider = TransformersEngine(base._model, base.codec, base._chat, limits=Limits(2000, 4, length=10**9))
    assert wider.ability.longest == most  # the model's own positions stay the end
