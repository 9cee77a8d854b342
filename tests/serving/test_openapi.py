"""The OpenAPI document: requests made from it get the answers that it promises."""

from __future__ import annotations

import httpx
import pytest

from swift.serving.app import ROUTERS
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


def test_every_route_is_in_the_document(server: Running) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    paths = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    assert set(document["paths"]) == paths
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "200" in operation["responses"]
            assert "422" not in operation["responses"]
