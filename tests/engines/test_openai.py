"""The engine over HTTP, against a real server with a tiny model, and against the same model in process."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from swift.chat.codec import Codec
from swift.chat.encode import prompt_ids
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.engines.base import Event, Piece
from swift.engines.link import Address, Link, base_url
from swift.engines.openai import OpenAIEngine
from swift.engines.served import Served
from swift.engines.transformers import TransformersEngine
from swift.engines.vllm import TAKES
from swift.engines.wires import Takes
from swift.errors import ConfigError, EngineError, RowError
from swift.types import Completion, Conversation, Guide, Message, Request, Sampling, Scored
from tests.engines.served import EngineServer, break_off, fine, hang_up, serving, status
from tests.engines.support import answers, ask, go_on, texts
from tests.engines.test_scoring import chats

Connect = Callable[..., OpenAIEngine]


@pytest.fixture
def local(make_engine) -> TransformersEngine:
    return make_engine("llama")


@pytest.fixture
def server(local: TransformersEngine) -> Iterator[EngineServer]:
    with serving(local) as running:
        yield running


@pytest.fixture
def connect(server: EngineServer, codec: Codec) -> Iterator[Connect]:
    made: list[OpenAIEngine] = []

    def make(*, takes: Takes = TAKES, url: str | None = None, **address: object) -> OpenAIEngine:
        options = {"retries": 2, "timeout": 20.0, **address}
        link = Link(Address(url or server.url, **options))  # type: ignore[arg-type]
        served = Served("base", takes, adapters={"tuned": "tuned"}, context=1024)
        made.append(OpenAIEngine(link, served, codec, ChatConfig(), MediaConfig()))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def same(found: Sequence[Completion]) -> list[object]:
    """What must be equal, wherever the model runs."""
    return [(answer.text, answer.token_ids, answer.finish, answer.prompt_tokens) for answer in found]


def requests() -> list[Request]:
    system = Conversation(
        (Message("system", "be brief"), Message("user", "one"), Message("assistant", "two"), Message("user", "three")),
        ask("x").prompt.origin,  # type: ignore[union-attr]
    )
    base = [ask("hello", max_new_tokens=9), go_on("the capital of", max_new_tokens=5), Request(system, Sampling(12))]
    return [replace(request, adapter="base") for request in base]


def listen(engine: OpenAIEngine, request: Request) -> tuple[int, queue.Queue[Event]]:
    events: queue.Queue[Event] = queue.Queue()
    return engine.submit(replace(request, adapter="base"), events.put), events


def test_answers_are_those_of_the_same_model_in_process(connect: Connect, local, server, codec) -> None:
    engine = connect()
    done: list[int] = []
    found = answers(engine.generate(requests(), on_done=lambda number, answer: done.append(number)))
    assert same(found) == same(answers(local.generate(requests())))
    assert sorted(done) == [0, 1, 2]
    sent = sorted(tuple(body["prompt"]) for body in server.asked)
    assert sent == sorted(tuple(prompt_ids(r.prompt, codec, ChatConfig())) for r in requests())  # type: ignore[arg-type]
    assert engine.seen(requests()) == [tuple(prompt_ids(r.prompt, codec, ChatConfig())) for r in requests()]  # type: ignore[arg-type]


def test_a_stream_is_the_answer(connect: Connect, local) -> None:
    engine = connect()
    for request in requests():
        (whole,) = answers(local.generate([request]))
        done: dict[int, Completion] = {}
        assert "".join(engine.stream(request, on_done=done.__setitem__)) == whole.text
        assert same([done[0]]) == same([whole])


def test_pieces_have_the_tokens_of_the_answer(connect: Connect) -> None:
    _, events = listen(connect(), ask("hello", max_new_tokens=20))
    pieces, last = [], None
    while last is None:
        event = events.get(timeout=10)
        if isinstance(event, Piece):
            pieces.append(event)
        else:
            last = event
    assert isinstance(last, Completion)
    assert "".join(piece.text for piece in pieces) == last.text
    assert sum(piece.tokens for piece in pieces) == len(last.token_ids)
    assert events.empty()


def test_many_requests_at_once_each_get_their_own_answer(connect: Connect, local) -> None:
    engine = connect(at_once=7)
    many = [replace(ask(text, max_new_tokens=4), adapter="base") for text in texts(*range(4, 44))]
    assert same(answers(engine.generate(many))) == same(answers(local.generate(many)))


def test_stop_texts_that_the_server_does_not_know_end_the_stream(connect: Connect, local, server) -> None:
    server.pause = 0.05
    (plain,) = answers(local.generate([replace(ask("hello", max_new_tokens=60), adapter="base")]))
    stop = plain.text[8:10]
    request = replace(ask("hello", max_new_tokens=60, stop=(stop,)), adapter="base")
    engine = connect(takes=replace(TAKES, stop_texts=False))
    (found,) = answers(engine.generate([request]))
    assert found.text == plain.text[: plain.text.index(stop)]
    assert found.finish == "stop"
    assert "stop" not in server.asked[-1]
    assert len(found.token_ids) < len(plain.token_ids)
    assert server.left.wait(5), "the connection was closed"


def test_a_cancelled_request_is_stopped_and_silent(connect: Connect, server) -> None:
    server.pause = 0.05
    engine = connect()
    ticket, events = listen(engine, ask("hello", max_new_tokens=200))
    assert isinstance(events.get(timeout=10), Piece)
    engine.cancel(ticket)
    while not events.empty():
        events.get()
    assert server.left.wait(5)
    assert events.empty()
    engine.cancel(ticket)
    engine.cancel(12345)


def test_who_stops_reading_a_stream_cancels_it(connect: Connect, server) -> None:
    server.pause = 0.05
    stream = connect().stream(replace(ask("hello", max_new_tokens=200), adapter="base"))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert server.left.wait(5)


@pytest.mark.parametrize(
    "faults",
    [[status(503), status(429, Retry_After="0")], [hang_up, hang_up], [fine]],
    ids=["busy", "hangs up", "fine"],
)
def test_a_server_that_is_busy_is_asked_again(faults, connect: Connect, server, local) -> None:
    server.faults = list(faults)
    request = requests()[0]
    assert same(answers(connect().generate([request]))) == same(answers(local.generate([request])))
    assert not server.faults


def test_a_server_that_stays_busy_is_told(connect: Connect, server) -> None:
    server.faults = [status(503, "loading", Retry_After="0")] * 3
    with pytest.raises(EngineError, match=r"busy or out of order \(503\): loading"):
        connect().generate(requests()[:1])


def test_what_the_server_refuses_is_one_rows_error(connect: Connect, server) -> None:
    server.faults = [status(400, "too\nlong")]
    found = connect(at_once=1).generate(requests()[:2])
    assert isinstance(found[0], RowError)
    assert str(found[0]) == "refused: the server answers 400: too long"
    assert isinstance(found[1], Completion)


def test_where_the_log_of_a_server_is_that_fails_at_a_request(server, codec: Codec) -> None:
    link = Link(Address(server.url, timeout=20.0), erred=lambda: "its log is LOG")
    server.faults = [status(500, "EngineCore"), status(400, "too long")]
    with closing(OpenAIEngine(link, Served("base", TAKES), codec, ChatConfig(), MediaConfig())) as engine:
        told = [str(engine.generate([request])[0]) for request in requests()[:2]]
    assert told == [
        "refused: the server answers 500: EngineCore (its log is LOG)",
        "refused: the server answers 400: too long",
    ]


def test_a_wrong_key_and_an_unknown_model_are_configuration(connect: Connect, server) -> None:
    server.faults = [status(401)]
    with pytest.raises(ConfigError, match="does not accept the key"):
        connect(api_key="wrong").generate(requests()[:1])
    assert server.headers_seen[-1]["Authorization"] == "Bearer wrong"
    server.faults = [status(404, "no such model")]
    with pytest.raises(ConfigError, match="no such model"):
        connect().generate(requests()[:1])


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Address("http://127.0.0.1:1/v1", api_key="secret"))


def test_an_answer_that_breaks_off_is_no_answer(connect: Connect, server) -> None:
    server.faults = [break_off]
    _, events = listen(connect(), ask("hello"))
    assert isinstance(events.get(timeout=10), Piece)
    last = events.get(timeout=10)
    assert isinstance(last, EngineError)
    assert "in the middle" in last.message


def test_nobody_there(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    engine = connect(url=f"http://127.0.0.1:{port}/v1", retries=0)
    with pytest.raises(EngineError, match="cannot be reached"):
        engine.generate(requests())
    with pytest.raises(EngineError, match="cannot be reached"):
        list(engine.stream(requests()[0]))


def test_closing_fails_what_is_not_answered(connect: Connect, server) -> None:
    server.pause = 0.1
    engine = connect()
    _, events = listen(engine, ask("hello", max_new_tokens=200))
    assert isinstance(events.get(timeout=10), Piece)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    found = []
    while not events.empty():
        found.append(events.get())
    assert isinstance(found[-1], EngineError)
    engine.close()
    _, later = listen(engine, ask("hello"))
    assert isinstance(later.get(timeout=5), EngineError)
    assert not [thread for thread in threading.enumerate() if thread.name == "swift-engine-link" and thread.is_alive()]


def test_requests_that_cannot_be_answered(connect: Connect) -> None:
    engine = connect()
    long = replace(ask("a b c d " * 600), adapter="base")
    unknown = replace(ask("x"), adapter="nobody")
    found = engine.generate([long, unknown, requests()[0]])
    assert [item.reason for item in found[:2]] == ["too_long", "unknown_adapter"]  # type: ignore[union-attr]
    assert isinstance(found[2], Completion)


def test_adapters_are_asked_for_by_name(connect: Connect, server) -> None:
    engine = connect()
    engine.generate([ask("x", max_new_tokens=1), replace(ask("x", max_new_tokens=1), adapter="base")])
    assert sorted(body["model"] for body in server.asked) == ["base", "tuned"]
    assert engine.adapters == ("tuned",)


def test_every_option_is_sent(connect: Connect, server, codec) -> None:
    rules = {
        "max_new_tokens": 3, "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.1,
        "stop": ("x",), "seed": 3, "min_new_tokens": 2, "presence_penalty": 0.2, "frequency_penalty": 0.3,
        "logit_bias": ((5, -1.0),), "stop_ids": (7,), "logprobs": 2, "guide": Guide("json", '{"type": "object"}'),
    }  # fmt: skip
    connect().generate([replace(ask("hello", **rules), adapter="base")])
    body = server.asked[-1]
    expected = {
        "max_tokens": 3, "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.1,
        "stop": ["x"], "seed": 3, "min_tokens": 2, "presence_penalty": 0.2, "frequency_penalty": 0.3,
        "logit_bias": {"5": -1.0}, "logprobs": 2, "structured_outputs": {"json": {"type": "object"}},
        "ignore_eos": False, "stop_token_ids": sorted({*codec.eos_ids, 7}), "return_token_ids": True,
    }  # fmt: skip
    assert {name: body[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ({"top_k": 5}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"min_new_tokens": 1}, "min_tokens"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"stop_ids": (3,)}, "stop_token_ids"),
        ({"guide": Guide("regex", "a+")}, "regex"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_server_cannot_do_is_refused(rules, name: str, connect: Connect, server) -> None:
    engine = connect(takes=Takes("the server"))
    (found,) = engine.generate([replace(ask("hello", **rules), adapter="base")])
    assert isinstance(found, RowError)
    assert found.reason == "unsupported_option"
    assert name in found.detail
    assert server.asked == []


def test_another_prompt_is_noticed(connect: Connect, server, codec) -> None:
    ids = prompt_ids(requests()[0].prompt, codec, ChatConfig())  # type: ignore[arg-type]
    choice = {"index": 0, "text": "", "token_ids": [5], "finish_reason": "length"}

    def other_ids(handler) -> bool:
        handler.send_json(200, {"choices": [{**choice, "prompt_token_ids": [ids[0] + 1, *ids[1:]]}]})
        return True

    def other_count(handler) -> bool:
        handler.send_json(200, {"choices": [choice], "usage": {"prompt_tokens": len(ids) + 1}})
        return True

    for fault in (other_ids, other_count):
        server.faults = [fault]
        (found,) = connect().generate(requests()[:1])
        assert isinstance(found, RowError)
        assert found.reason == "other_prompt"


def test_logprobs(connect: Connect, server, codec) -> None:
    told = {
        "tokens": ["token_id:5", "token_id:6"],
        "token_logprobs": [-0.5, -1.5],
        "top_logprobs": [{"token_id:9": -3.0, "token_id:5": -0.5, "token_id:8": -0.7}, {"token_id:6": -1.5}],
    }
    choice = {"index": 0, "text": "", "token_ids": [5, 6], "finish_reason": "length", "logprobs": told}

    def answer(handler) -> bool:
        handler.send_json(200, {"choices": [choice]})
        return True

    server.faults = [answer]
    (found,) = answers(connect().generate([replace(ask("hello", logprobs=2), adapter="base")]))
    assert found.logprobs is not None
    assert [(item.id, item.logprob, item.text) for item in found.logprobs] == [
        (5, -0.5, codec.decode([5])),
        (6, -1.5, codec.decode([6])),
    ]
    assert [(item.id, item.logprob) for item in found.logprobs[0].top] == [(5, -0.5), (8, -0.7)]


def test_scores_are_those_of_the_same_model_in_process(connect: Connect, local) -> None:
    engine = connect()
    for mine, theirs in zip(engine.score(chats(), adapter="base"), local.score(chats(), adapter="base"), strict=True):
        assert isinstance(mine, Scored)
        assert isinstance(theirs, Scored)
        assert mine.tokens == theirs.tokens
        assert mine.logprob == pytest.approx(theirs.logprob, rel=1e-4)


def test_a_server_that_does_not_tell_scores_says_so(connect: Connect) -> None:
    found = connect(takes=replace(TAKES, scores="")).score(chats()[:1])
    assert isinstance(found[0], RowError)
    assert found[0].reason == "unsupported_option"


def test_addresses() -> None:
    assert base_url("http://host:8000") == base_url("http://host:8000/") == "http://host:8000/v1"
    assert base_url("https://host/openai/v1/") == "https://host/openai/v1"
