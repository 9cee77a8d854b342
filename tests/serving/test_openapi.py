"""The OpenAPI document: requests made from it get the answers that it promises."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

from swift.serving.app import ROUTERS
from tests.serving import chains
from tests.serving.cases import run
from tests.serving.support import Running, serving

NUMBERS = {
    "embed": ["/v1/embeddings"],
    "rerank": ["/v1/rerank", "/v1/score"],
    "classify": ["/classify"],
    "reward": ["/pooling"],
}
"""Routes of models that give numbers, by what the model does."""


def test_some_requests(server: Running) -> None:
    assert run(server.url, 50, model="tiny") >= 50


@pytest.mark.parametrize("task", ["embed", pytest.param("rerank", marks=pytest.mark.slow)])
def test_some_requests_for_numbers(task: str) -> None:
    with serving({"encoding": {"task": task}}) as running:
        assert run(running.url, 40, model="tiny", paths=NUMBERS[task]) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("task", list(NUMBERS))
def test_many_requests_for_numbers(task: str) -> None:
    with serving({"encoding": {"task": task}}) as running:
        assert run(running.url, 800, model="tiny", paths=NUMBERS[task]) >= 800


@pytest.mark.slow
def test_many_requests(server: Running) -> None:
    """`python -m tests.serving.cases --count 10000` asks a real model."""
    assert run(server.url, 2000, model="tiny", threads=2) >= 2000
    assert httpx.get(f"{server.url}/ready").status_code == 200


def test_some_chains(server: Running) -> None:
    seen = Counter[str]()
    assert chains.run(server.url, 60, model="tiny", seen=seen) >= 60
    assert any("->" in name and name.endswith(" 200") for name in seen), seen


@pytest.mark.slow
def test_many_chains(server: Running) -> None:
    """`python -m tests.serving.cases --chained 1000` follows the links of adapters too, on a real model."""
    seen = Counter[str]()
    assert chains.run(server.url, 600, model="tiny", seen=seen) >= 600
    # Which links are drawn is schemathesis's choice, and another one in each of its versions.
    followed = {name for name in seen if "->" in name and name.endswith(" 200")}
    assert len(followed) >= 8, seen


CHAT: dict[str, object] = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
SOURCES: dict[str, dict[str, object] | None] = {
    "/v1/models": None,
    "/v1/models/{model}": None,
    "/tokenize": {"model": "tiny", "prompt": "Hello"},
    "/detokenize": {"model": "tiny", "tokens": [5, 6, 7]},
    "/v1/completions": {"model": "tiny", "prompt": "Hello", "max_tokens": 4},
    "/v1/chat/completions": {**CHAT, "max_tokens": 4},
    "/v1/messages": {**CHAT, "max_tokens": 4},
    "/v1/messages/count_tokens": CHAT,
}
"""Requests that are answered, by their paths."""


@pytest.mark.parametrize("path", list(SOURCES))
def test_links_are_answered(server: Running, path: str) -> None:
    """Each link of an answer, filled in from it, is a request that is answered."""
    body = SOURCES[path]
    with server.client() as client:
        document = client.get("/openapi.json").json()
        method = "get" if body is None else "post"
        done = client.request(method, path.replace("{model}", "tiny"), json=body)
        assert done.status_code == 200, done.text
        places = {
            found["operationId"]: (verb, at) for at, verbs in document["paths"].items() for verb, found in verbs.items()
        }
        links = document["paths"][path][method]["responses"]["200"]["links"]
        for name, link in links.items():
            verb, at = places[link["operationId"]]
            for given, value in link.get("parameters", {}).items():
                at = at.replace(f"{{{given.removeprefix('path.')}}}", str(filled(value, body, done.json())))
            answer = client.request(verb, at, json=filled(link.get("requestBody"), body, done.json()))
            # A model that answers has no vectors.
            assert answer.status_code == (400 if at == "/v1/embeddings" else 200), (name, answer.text)


def filled(value: Any, request: Any, response: Any) -> Any:
    """A link's value with its expressions put in."""
    if isinstance(value, dict):
        return {name: filled(part, request, response) for name, part in value.items()}
    if isinstance(value, list):
        return [filled(part, request, response) for part in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    source, _, pointer = value.partition("#/")
    found = request if source == "$request.body" else response
    for step in pointer.split("/"):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


def test_links_lead_to_requests_that_their_targets_know(server: Running) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    operations = {found["operationId"]: found for path in document["paths"].values() for found in path.values()}
    assert len(operations) == sum(len(path) for path in document["paths"].values())
    linked = [
        link for operation in operations.values() for link in operation["responses"]["200"].get("links", {}).values()
    ]
    assert len(linked) >= 12
    for link in linked:
        target = operations[link["operationId"]]
        names = {f"{place['in']}.{place['name']}" for place in target.get("parameters", ())}
        assert set(link.get("parameters", ())) == names
        if "requestBody" in link:
            schema = target["requestBody"]["content"]["application/json"]["schema"]
            form = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert set(link["requestBody"]) <= set(form["properties"])
            assert set(form.get("required", ())) <= set(link["requestBody"])


def test_every_route_is_in_the_document(server: Running) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    paths = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    assert set(document["paths"]) == paths
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "200" in operation["responses"]
            assert "422" not in operation["responses"]
