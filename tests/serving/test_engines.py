"""The server in front of other engines, each behind HTTP itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from swift.serving.run import LOADER
from tests.serving.support import Running, chat, launched, serving, until
from tests.serving.test_lifecycle import metric


@pytest.fixture(scope="module")
def front(server: Running) -> Iterator[Running]:
    """A server in front of another one, of which it knows the address only."""
    engine = {"type": "openai", "url": f"{server.url}/v1", "retries": 0, "model_name": "tiny"}
    with serving({"engine": engine, "model": None, "served_model_name": "behind"}, loader=LOADER) as running:
        yield running


def ask(running: Running, text: str, **options: object) -> httpx.Response:
    body = {**chat(text, **options), "model": "behind"}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)


def test_answers_are_those_of_the_engine_behind(front: Running) -> None:
    answer = ask(front, "said behind").json()
    assert answer["choices"][0]["message"]["content"] == "said behind"
    assert answer["usage"]["completion_tokens"] > 0
    assert answer["usage"]["prompt_tokens"] > 0
    assert (
        ask(front, "[sampling]x", temperature=0.5, max_tokens=700, seed=3)
        .json()["choices"][0]["message"]["content"]
        .count("temperature=0.5")
    )


def test_streams_go_through(front: Running) -> None:
    text = "one two three four five six"
    body = {**chat(text, stream=True), "model": "behind"}
    with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = [line for line in response.iter_lines() if line]
    pieces = [json.loads(line[6:])["choices"][0]["delta"].get("content") or "" for line in lines[:-1]]
    assert "".join(pieces) == text
    assert len([piece for piece in pieces if piece]) > 2
    assert lines[-1] == "data: [DONE]"


def test_who_leaves_is_forgotten_behind_too(front: Running, server: Running) -> None:
    body = {**chat("[pause 0.05]" + "word " * 400, stream=True), "model": "behind"}
    with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        until(lambda: metric(server, "swift_running") == 1)
    until(lambda: metric(server, "swift_running") == 0, seconds=20)


def test_refusals_go_through(front: Running) -> None:
    assert ask(front, "[refuse]x").status_code == 400
    assert "secret" not in ask(front, "[break]x").text
    assert httpx.post(f"{front.url}/tokenize", json={"prompt": "x"}).status_code == 400
    assert ask(front, "still here").json()["choices"][0]["message"]["content"] == "still here"


def test_an_engine_that_has_gone() -> None:
    with serving() as behind:
        engine = {"type": "openai", "url": f"{behind.url}/v1", "retries": 0, "model_name": "tiny"}
        config = {"engine": engine, "model": None, "served_model_name": "behind"}
        with serving(config, loader=LOADER) as running:
            assert ask(running, "hello").status_code == 200
            os.kill(behind.process.pid, signal.SIGKILL)
            answer = ask(running, "hello")
            assert answer.status_code == 503
            assert "127.0.0.1" not in answer.text
            assert running.end() == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--engine", "openai"], "needs an address"),
        (["--engine", "vllm"], "is required"),
        ("--engine vllm --model x/y --adapter_root /tmp --admin_key a=bcdefghij".split(), "at its start"),
        (["--engine", "openai", "--base_url", "http://127.0.0.1:9/v1"], "cannot be reached|refused|does not answer"),
    ],
)
def test_what_cannot_be(words: list[str], told: str) -> None:
    with launched("-m", "swift", "deploy", "--port", "0", *words) as running:
        assert running.process.wait(120) == 2
        running.wait_for(told)
