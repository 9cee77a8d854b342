"""Raw prompts, tokens, models and health."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from swift.serving.completions import wire
from tests.serving.support import Running, chat


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, prompt: Any, **options: Any) -> Any:
    options.setdefault("max_tokens", 100)
    return client.completions.create(model="tiny", prompt=prompt, **options)


def tokens(server: Running, **body: Any) -> dict[str, Any]:
    response = httpx.post(f"{server.url}/tokenize", json={"model": "tiny", **body})
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_text_without_template(client: openai.OpenAI) -> None:
    done = ask(client, "raw text")
    assert (done.choices[0].text, done.choices[0].finish_reason) == ("raw text", "stop")
    wire.Completion.model_validate(done.model_dump(exclude_unset=True))


def test_few_tokens_where_nothing_is_said(client: openai.OpenAI) -> None:
    done = client.completions.create(model="tiny", prompt="a b c d e f g h i j k l m n o p q r s t u v w")
    assert (done.usage.completion_tokens, done.choices[0].finish_reason) == (16, "length")


def test_all_forms_of_prompts(client: openai.OpenAI, server: Running) -> None:
    ids = tokens(server, prompt="raw text")["tokens"]
    assert [choice.text for choice in ask(client, ["one", "two"]).choices] == ["one", "two"]
    assert ask(client, ids).choices[0].text == "raw text"
    assert [choice.text for choice in ask(client, [ids, ids]).choices] == ["raw text"] * 2
    several = ask(client, ["one", "two"], n=2)
    assert [(choice.index, choice.text) for choice in several.choices] == [
        (0, "one"),
        (1, "one"),
        (2, "two"),
        (3, "two"),
    ]
    assert several.usage.prompt_tokens == len(tokens(server, prompt="one")["tokens"]) + len(
        tokens(server, prompt="two")["tokens"]
    )


@pytest.mark.parametrize("echo", [False, True])
def test_a_stream_joins_to_the_answers(client: openai.OpenAI, echo: bool) -> None:
    said = {0: "", 1: ""}
    for chunk in ask(client, ["one é", "two"], stream=True, echo=echo):
        said[chunk.choices[0].index] += chunk.choices[0].text
    whole = [choice.text for choice in ask(client, ["one é", "two"], echo=echo).choices]
    assert list(said.values()) == whole == (["one éone é", "twotwo"] if echo else ["one é", "two"])


def test_echo_of_tokens(client: openai.OpenAI, server: Running) -> None:
    ids = tokens(server, prompt="raw")["tokens"]
    assert ask(client, ids, echo=True).choices[0].text == "rawraw"


def test_log_probabilities(client: openai.OpenAI) -> None:
    found = ask(client, "ab cd", logprobs=2).choices[0].logprobs
    assert "".join(found.tokens) == "ab cd"
    assert found.text_offset[0] == 0
    assert all(len(top) >= 2 for top in found.top_logprobs)
    streamed = [chunk.choices[0].logprobs for chunk in ask(client, "ab cd", logprobs=2, stream=True)]
    assert [token for told in streamed if told for token in told.tokens] == found.tokens
    assert [place for told in streamed if told for place in told.text_offset] == found.text_offset


@pytest.mark.parametrize(
    "change", [{"prompt": ""}, {"prompt": []}, {"prompt": [[]]}, {"prompt": [10**6]}, {"suffix": "x"}, {"best_of": 3}]
)
def test_what_cannot_be_gone_on_with(server: Running, change: dict[str, Any]) -> None:
    response = httpx.post(f"{server.url}/v1/completions", json={"model": "tiny", "prompt": "x", **change})
    assert response.status_code == 400


def test_tokens_there_and_back(server: Running) -> None:
    found = tokens(server, prompt="One é 中文", return_token_strs=True)
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
    back = httpx.post(f"{server.url}/detokenize", json={"tokens": found["tokens"]})
    assert back.json() == {"prompt": "One é 中文"}
    assert httpx.post(f"{server.url}/detokenize", json={"tokens": [10**6]}).status_code == 400


def test_tokens_of_a_chat_are_those_that_are_charged(server: Running) -> None:
    counted = tokens(server, messages=chat("x")["messages"])["count"]
    done = httpx.post(f"{server.url}/v1/chat/completions", json=chat("x")).json()
    assert done["usage"]["prompt_tokens"] == counted


def test_health_readiness_and_counters(server: Running) -> None:
    assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
    assert httpx.get(f"{server.url}/ready").json()["status"] == "ready"
    text = httpx.get(f"{server.url}/metrics").text
    assert 'swift_requests_total{route="/v1/completions",status="200"}' in text
    assert 'swift_engine_state{state="ready"} 1.0' in text
