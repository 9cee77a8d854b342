"""Prompts whose own tokens are judged, over an engine that does what it is told."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from swift.serving.completions import wire
from tests.serving.support import Running, until


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, prompt: Any, **options: Any) -> Any:
    return client.completions.create(**{"model": "tiny", "prompt": prompt, "echo": True, "logprobs": 1, **options})


def ids_of(server: Running, text: str) -> list[int]:
    found: list[int] = httpx.post(f"{server.url}/tokenize", json={"model": "tiny", "prompt": text}).json()["tokens"]
    return found


def test_a_prompt_alone(client: openai.OpenAI, server: Running) -> None:
    done = ask(client, "ab cd", max_tokens=0, logprobs=2)
    wire.Completion.model_validate(done.model_dump(exclude_unset=True))
    (choice,) = done.choices
    assert (choice.text, choice.finish_reason) == ("ab cd", "length")
    told, count = choice.logprobs, len(ids_of(server, "ab cd"))
    assert "".join(told.tokens) == "ab cd"
    assert told.token_logprobs == [None, *(-float(place) for place in range(1, count))]
    assert told.text_offset == [len("".join(told.tokens[:place])) for place in range(count)]
    assert told.top_logprobs[0] is None
    assert told.top_logprobs[1] == {"t0": -0.25, "t1": -1.25, told.tokens[1]: -1.0}
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (count, 0, count)


def test_all_forms_of_prompts(client: openai.OpenAI, server: Running) -> None:
    ids = ids_of(server, "one two")
    for prompt in ("one two", ids, ["one two", "one two"], [ids, ids]):
        done = ask(client, prompt, max_tokens=0)
        assert {choice.text for choice in done.choices} == {"one two"}
        assert {len(choice.logprobs.tokens) for choice in done.choices} == {len(ids)}
        assert done.usage.prompt_tokens == len(ids) * len(done.choices)
    several = ask(client, ["one", "two"], max_tokens=0, n=2)
    assert [(choice.index, choice.text) for choice in several.choices] == [
        (0, "one"),
        (1, "one"),
        (2, "two"),
        (3, "two"),
    ]


def test_a_prompt_and_its_answer(client: openai.OpenAI, server: Running) -> None:
    done = ask(client, "ab cd", max_tokens=100)
    told, count = done.choices[0].logprobs, len(ids_of(server, "ab cd"))
    assert done.choices[0].text == "ab cdab cd" == "".join(told.tokens)
    assert told.token_logprobs == [None, *(-float(place) for place in range(1, count)), *[-0.5] * count]
    assert told.text_offset[count] == len("ab cd")
    assert done.usage.prompt_tokens == count


@pytest.mark.parametrize("most", [0, 100])
def test_a_stream_joins_to_the_whole(client: openai.OpenAI, most: int) -> None:
    whole = ask(client, ["ab cd", "é"], max_tokens=most).choices
    texts, tokens, places = ["", ""], [[], []], [[], []]  # type: ignore[var-annotated]
    finish = {}
    for chunk in ask(client, ["ab cd", "é"], max_tokens=most, stream=True):
        choice = chunk.choices[0]
        texts[choice.index] += choice.text
        tokens[choice.index] += choice.logprobs.tokens if choice.logprobs else []
        places[choice.index] += choice.logprobs.text_offset if choice.logprobs else []
        finish[choice.index] = choice.finish_reason or finish.get(choice.index)
    assert texts == [choice.text for choice in whole]
    assert tokens == [choice.logprobs.tokens for choice in whole]
    assert places == [choice.logprobs.text_offset for choice in whole]
    assert finish == {choice.index: choice.finish_reason for choice in whole}


def test_without_logprobs_nothing_is_told_of_them(client: openai.OpenAI) -> None:
    done = client.completions.create(model="tiny", prompt="ab", echo=True, max_tokens=0)
    assert (done.choices[0].text, done.choices[0].logprobs) == ("ab", None)
    assert done.usage is not None
    assert done.usage.prompt_tokens > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"echo": False}, "max_tokens 0 asks for nothing"),
        ({"echo": None}, "max_tokens 0 asks for nothing"),
        ({"logprobs": 21}, "at most 20 log-probabilities"),
        ({"logprobs": -1}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"min_tokens": 1}, "min_tokens is 1"),
        ({"prompt": [10**6]}, "token ids are 0 to"),
        ({"prompt": [5, "a"]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": "[refuse]"}, "the model takes 8"),
        ({"prompt": ["x"] * 65}, "at most 64"),
    ],
)
def test_what_cannot_be_judged(server: Running, change: dict[str, Any], told: str) -> None:
    body = {"model": "tiny", "prompt": "x", "echo": True, "logprobs": 1, "max_tokens": 0, **change}
    response = httpx.post(f"{server.url}/v1/completions", json=body)
    assert response.status_code == 400, response.text
    assert told in response.json()["error"]["message"]


def test_a_client_that_leaves_frees_the_work(client: openai.OpenAI, server: Running) -> None:
    def running() -> str:
        return str(client.completions.create(model="tiny", prompt="[running]", max_tokens=5).choices[0].text)

    before = int(running())
    body = {"model": "tiny", "prompt": ["[pause]", "[pause] x"], "echo": True, "logprobs": 0, "max_tokens": 0}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/completions", json=body, timeout=1.0)
    until(lambda: int(running()) == before, server)
