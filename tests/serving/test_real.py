"""The command over a real (tiny, random) model and an adapter of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.models.tiny import save_tiny
from swift.types import Conversation, Message, Origin, Request, Sampling
from tests.engines.support import save_adapter
from tests.serving.support import Running, launched, until

QUESTIONS = [f"What is {number} and {number + 1}?" for number in range(12)]
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("real")
    model = save_tiny(folder / "tiny-llama")
    return model, save_adapter(folder / "adapter", model, seed=1)


@pytest.fixture(scope="module")
def real(folders: tuple[Path, Path]) -> Iterator[Running]:
    model, adapter = folders
    words = ["--model", str(model), "--adapters", f"tone={adapter}", "--port", "0", "--torch_dtype", "float32"]
    with launched("-m", "swift", "deploy", *words) as running:
        running.url = running.wait_for(r"^serving at (\S+)")[1]
        yield running


@pytest.fixture(scope="module")
def client(real: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, text: str, *, model: str = "tiny-llama", **options: Any) -> Any:
    options = {"temperature": 0, "max_tokens": 24, **options}
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def test_answers_are_the_engines(client: openai.OpenAI, folders: tuple[Path, Path]) -> None:
    model, adapter = folders
    plan = plan_model(ModelConfig(id=str(model), dtype="float32"), [f"tone={adapter}"], ChatConfig())
    engine = load_engine(plan, limits=Limits())
    for name, adapter_name in (("tiny-llama", "base"), ("tone", "tone")):
        rules = Sampling(max_new_tokens=24)
        chats = [Conversation((Message("user", text),), Origin("x", 1)) for text in QUESTIONS]
        requests = [Request(chat, rules, adapter=adapter_name) for chat in chats]
        expected = [answer.text.strip() for answer in engine.generate(requests)]  # type: ignore[union-attr]
        with ThreadPoolExecutor(len(QUESTIONS)) as pool:
            done = pool.map(partial(ask, client, model=name), QUESTIONS)
            assert [answer.choices[0].message.content for answer in done] == expected


def test_streams_join_to_the_whole(client: openai.OpenAI) -> None:
    for text in QUESTIONS[:4]:
        whole = ask(client, text).choices[0].message.content
        parts = [chunk.choices[0].delta.content or "" for chunk in ask(client, text, stream=True)]
        assert "".join(parts) == whole


def test_seeds_repeat_and_differ(client: openai.OpenAI) -> None:
    first = ask(client, "x", temperature=1, seed=3, n=3)
    again = ask(client, "x", temperature=1, seed=3, n=3)
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert len(set(texts)) == 3


def test_json_after_a_schema(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    for seed in range(5):
        text = (
            ask(client, "x", temperature=1, seed=seed, max_tokens=100, response_format=form).choices[0].message.content
        )
        jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "paint"}}])
def test_a_required_call_is_made(client: openai.OpenAI, choice: Any, stream: bool) -> None:
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("look", "paint")]
    done = ask(client, "x", tools=tools, tool_choice=choice, max_tokens=200, temperature=1, seed=1, stream=stream)
    if stream:
        chunks = list(done)
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
        finish = chunks[-1].choices[0].finish_reason
        assert len(calls) > 2, "the arguments come in pieces"
        assert {call.index for call in calls} == {0}
        assert not any(call.id or call.function.name for call in calls[1:])
    else:
        calls, finish = done.choices[0].message.tool_calls, done.choices[0].finish_reason
        assert len(calls) == 1
    assert finish == "tool_calls"
    assert calls[0].function.name in ("look", "paint") if choice == "required" else calls[0].function.name == "paint"
    jsonschema.validate(json.loads("".join(call.function.arguments for call in calls)), SCHEMA)


def test_log_probabilities_are_likelihoods(client: openai.OpenAI) -> None:
    tokens = ask(client, "x", logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert all(token.logprob <= 0 for token in tokens)
    assert all(token.logprob == token.top_logprobs[0].logprob for token in tokens)  # greedy


def test_a_schema_that_cannot_be_followed_is_refused(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError):
        ask(client, "x", response_format=form)


def test_a_prompt_of_a_million_tokens_holds_nobody_up(client: openai.OpenAI, real: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(lambda: real.client().post("/tokenize", json={"prompt": "qx" * 500_000}))
        assert ask(client, "still here?").choices[0].finish_reason in ("stop", "length")
        assert long.result().json()["count"] > 500_000
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "qx" * 500_000)
    assert refused.value.code == "context_length_exceeded"


def test_leaving_frees_the_engine(client: openai.OpenAI, real: Running) -> None:
    stream = ask(client, "x", stream=True, max_tokens=900, extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    with real.client() as http:
        until(lambda: "swift_running 0.0" in http.get("/metrics").text, seconds=10)


def test_it_ends_in_order(folders: tuple[Path, Path]) -> None:
    with launched("-m", "swift", "deploy", "--model", str(folders[0]), "--port", "0") as running:
        running.wait_for("^serving at")
        assert running.end() == 0
        assert not any("Traceback" in line for line in running.lines)


def test_vectors_are_the_engines(tmp_path: Path) -> None:
    import numpy as np

    from tests.engines.encoding.checkpoints import save
    from tests.engines.encoding.test_oracles import TEXTS, load, numbers, plain

    folder = save(tmp_path / "tiny-bert", "bert")
    with launched(
        "-m", "swift", "deploy", "--model", str(folder), "--port", "0", "--torch_dtype", "float32"
    ) as running:
        running.url = running.wait_for(r"^serving at (\S+)")[1]
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as asking:
            found = asking.embeddings.create(model="tiny-bert", input=TEXTS)
            with pytest.raises(openai.BadRequestError, match="the model takes 128"):
                asking.embeddings.create(model="tiny-bert", input="a b c d " * 100)
            with pytest.raises(openai.BadRequestError, match="vectors, at /v1/embeddings"):
                ask(asking, "hello", model="tiny-bert")
    expected = numbers(load(folder), plain(TEXTS))
    np.testing.assert_allclose(np.array([item.embedding for item in found.data]), expected, atol=2e-6)
