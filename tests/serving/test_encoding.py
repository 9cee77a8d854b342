"""Routes for vectors, scores, labels and rewards, over an engine that does what it is told."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest

import swift
from tests.serving.support import Running, chat, serving, until


@pytest.fixture(scope="module")
def embedder() -> Iterator[Running]:
    with serving({"encoding": {"task": "embed"}, "limits": {"inputs": 100}}) as running:
        yield running


@pytest.fixture(scope="module")
def ranker() -> Iterator[Running]:
    with serving({"encoding": {"task": "rerank"}}) as running:
        yield running


def ask(server: Running, path: str, **body: object) -> httpx.Response:
    with server.client() as client:
        return client.post(path, json={"model": "tiny", **body})


def test_openais_client_gets_the_same_numbers_in_both_forms(embedder: Running) -> None:
    client = openai.OpenAI(base_url=f"{embedder.url}/v1", api_key="none", max_retries=0)
    texts = ["one", "one two three", "a longer text than these"]
    plain = client.embeddings.create(model="tiny", input=texts, encoding_format="float")
    default = client.embeddings.create(model="tiny", input=texts)
    assert [item.embedding for item in default.data] == [item.embedding for item in plain.data]
    assert [item.index for item in plain.data] == [0, 1, 2]
    assert len({tuple(item.embedding) for item in plain.data}) == 3
    assert plain.usage.prompt_tokens == plain.usage.total_tokens > 3
    short = client.embeddings.create(model="tiny", input=texts[0], dimensions=3)
    assert short.data[0].embedding == plain.data[0].embedding[:3]


def test_inputs_are_texts_ids_lists_of_either_or_a_chat(embedder: Running) -> None:
    for given, count in (("hello", 1), (["hello", "you"], 2), ([5, 6, 7], 1), ([[5, 6], [7]], 2)):
        found = ask(embedder, "/v1/embeddings", input=given)
        assert found.status_code == 200, found.text
        assert len(found.json()["data"]) == count
    ids = ask(embedder, "/v1/embeddings", input=[5, 6, 7]).json()
    assert ids["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    told = ask(embedder, "/v1/embeddings", input=[5, 6, 7], encoding_format="base64").json()["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(told), "<f4").tolist() == ids["data"][0]["embedding"]
    assert ask(embedder, "/v1/embeddings", messages=chat("hello")["messages"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "either input or messages"),
        ({"input": "a", "messages": [{"role": "user", "content": "a"}]}, "either input or messages"),
        ({"input": []}, "input"),
        ({"input": ""}, "empty"),
        ({"input": ["a", ""]}, "empty"),
        ({"input": [10**6]}, "token ids are"),
        ({"input": ["a"] * 101}, "at most 100"),
        ({"input": "a", "dimensions": 9}, "too many numbers"),
        ({"input": ["a", "[refuse]"]}, "input 1: the prompt has 9 tokens"),
        ({"input": "a", "truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "temperature": 1}, "temperature"),
    ],
)
def test_what_is_wrong_is_told(embedder: Running, body: dict[str, object], told: str) -> None:
    found = ask(embedder, "/v1/embeddings", **body)
    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert told in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_model_that_is_not_served(embedder: Running) -> None:
    assert ask(embedder, "/v1/embeddings", model="other", input="a").status_code == 404


def test_each_model_does_one_thing(embedder: Running, ranker: Running, server: Running) -> None:
    prompt = {"messages": chat("hello")["messages"]}
    refused = [
        (embedder, "/v1/chat/completions", prompt, "/v1/embeddings"),
        (embedder, "/v1/completions", {"prompt": "a"}, "/v1/embeddings"),
        (embedder, "/v1/responses", {"input": "a"}, "/v1/embeddings"),
        (embedder, "/v1/rerank", {"query": "a", "documents": ["b"]}, "/v1/embeddings"),
        (ranker, "/v1/embeddings", {"input": "a"}, "/v1/rerank"),
        (server, "/v1/embeddings", {"input": "a"}, "/v1/chat/completions"),
        (server, "/v1/score", {"text_1": "a", "text_2": "b"}, "/v1/chat/completions"),
        (server, "/classify", {"input": "a"}, "/v1/chat/completions"),
        (server, "/pooling", prompt, "/v1/chat/completions"),
    ]
    for running, path, body, instead in refused:
        found = ask(running, path, **body)
        assert found.status_code == 400, (path, found.text)
        error = found.json()["error"]
        assert error["code"] == "unsupported_task"
        assert instead in error["message"]
    found = ask(embedder, "/v1/messages", max_tokens=5, **prompt)
    assert found.status_code == 400
    assert found.json()["error"]["type"] == "invalid_request_error"


def test_ranking(ranker: Running) -> None:
    documents = ["short", {"text": "a much longer document than the others are"}, "of middle length"]
    found = ask(ranker, "/v1/rerank", query="q", documents=documents).json()
    assert [item["index"] for item in found["results"]] == [1, 2, 0]
    assert found["results"][0]["document"] == {"text": "a much longer document than the others are"}
    scores = [item["relevance_score"] for item in found["results"]]
    assert scores == sorted(scores, reverse=True)
    two = ask(ranker, "/v1/rerank", query="q", documents=documents, top_n=2, return_documents=False).json()
    assert two["results"] == [{key: item[key] for key in ("index", "relevance_score")} for item in found["results"][:2]]


def test_scores_of_pairs(ranker: Running) -> None:
    one = ask(ranker, "/v1/score", text_1="q", text_2=["a", "a b c d"]).json()
    assert [item["index"] for item in one["data"]] == [0, 1]
    assert one["data"][0]["score"] < one["data"][1]["score"]
    each = ask(ranker, "/v1/score", text_1=["q", "q"], text_2=["a", "a b c d"]).json()
    assert each["data"] == one["data"]
    assert ask(ranker, "/v1/score", text_1=["q", "q"], text_2="a").status_code == 400
    assert ask(ranker, "/v1/score", text_1=["q", "q", "q"], text_2=["a", "b"]).status_code == 400


def test_labels_and_rewards() -> None:
    with serving({"encoding": {"task": "classify"}}) as running, swift.InferClient(running.url) as client:
        found = ask(running, "/classify", input=["one", "one two"]).json()
        assert [item["label"] for item in found["data"]] == ["good", "good"]
        assert found["data"][0]["num_classes"] == len(found["data"][0]["probs"]) == 2
        assert [label.label for label in client.classify(["one", "one two"])] == ["good", "good"]
    with serving({"encoding": {"task": "reward"}}) as running, swift.InferClient(running.url) as client:
        messages = [*chat("hello")["messages"], {"role": "assistant", "content": "Hi!"}]
        found = ask(running, "/pooling", messages=messages).json()
        assert client.reward(messages) == found["data"][0]["data"][0]


def test_our_client(embedder: Running, ranker: Running) -> None:
    with swift.InferClient(embedder.url) as client:
        vectors = client.embed(["one", "one two"])
        plain = ask(embedder, "/v1/embeddings", input=["one", "one two"]).json()
        assert vectors.tolist() == [item["embedding"] for item in plain["data"]]
        assert client.embed("one", dimensions=2).shape == (1, 2)
    with swift.InferClient(ranker.url) as client:
        ranked = client.rerank("q", ["a", "a b c"], top_n=1)
        assert [item.index for item in ranked] == [1]
        assert client.score("q", ["a b c"]) == [ranked[0].score]


def test_a_client_that_leaves_is_forgotten(ranker: Running) -> None:
    with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=ranker.url, timeout=0.5) as client:
        client.post("/v1/rerank", json={"model": "tiny", "query": "[pause]", "documents": ["a", "b"]})
    until(lambda: any(line.get("path") == "/v1/rerank" and line["status"] == 499 for line in ranker.log()))
    with ranker.client() as client:
        until(lambda: "swift_running 0.0" in client.get("/metrics").text)


def test_a_host_that_dies_is_told(ranker: Running) -> None:
    found = ask(ranker, "/v1/rerank", query="[crash]", documents=["a"])
    assert found.status_code == 503
    with ranker.client() as client:
        until(lambda: client.get("/ready").status_code == 200)
    assert ask(ranker, "/v1/rerank", query="q", documents=["a"]).status_code == 200


def test_tokens_are_counted(embedder: Running) -> None:
    with embedder.client() as client:
        before = _counted(client)
        used = ask(embedder, "/v1/embeddings", input=["one", "two"]).json()["usage"]["prompt_tokens"]
        assert _counted(client) == before + used
    until(lambda: embedder.log() and embedder.log()[-1]["status"] == 200)


def _counted(client: httpx.Client) -> float:
    line = next(
        line for line in client.get("/metrics").text.splitlines() if line.startswith("swift_prompt_tokens_total")
    )
    return float(line.split()[1])
