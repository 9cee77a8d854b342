"""The OpenAPI document: requests made from it get the answers that it promises."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import InvalidSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from swift.serving.app import ROUTERS
from tests.serving.support import Running, serving

CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.generate]}


NUMBERS = {
    "embed": ["/v1/embeddings"],
    "rerank": ["/v1/rerank", "/v1/score"],
    "classify": ["/classify"],
    "reward": ["/pooling"],
}
"""Routes of models that give numbers, by what the model does."""


def run(server: Running, examples: int, rounds: int = 1, *, paths: list[str] | None = None) -> int:
    """Every operation with so many requests in each round; returns how many there were."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    operations = [operation for operation in operations if paths is None or operation.path in paths]
    modes = list(schemathesis.GenerationMode)
    return sum(
        ask(operation, mode, examples, number) for number in range(rounds) for operation in operations for mode in modes
    )


def ask(operation: Any, mode: schemathesis.GenerationMode, examples: int, number: int) -> int:
    """One operation with requests that are right, or that are wrong."""
    count = 0

    @seed(number)
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, derandomize=False, **COMMON)  # type: ignore[arg-type]
    def check(case: Any) -> None:
        nonlocal count
        count += 1
        if mode is schemathesis.GenerationMode.POSITIVE and isinstance(case.body, dict):
            case.body["model"] = "tiny"  # any other is told at once not to be there
        case.call_and_validate(checks=CHECKS, timeout=30)

    # What takes nothing cannot be asked wrongly; and now and then the library finds no array of a given length.
    with suppress(Unsatisfiable, InvalidSchema):
        check()
    return count


def test_some_requests(server: Running) -> None:
    assert run(server, 8) > 50


@pytest.mark.parametrize("task", ["embed", pytest.param("rerank", marks=pytest.mark.slow)])
def test_some_requests_for_numbers(task: str) -> None:
    with serving({"encoding": {"task": task}}) as running:
        assert run(running, 20, paths=NUMBERS[task]) > 20


@pytest.mark.slow
@pytest.mark.parametrize("task", list(NUMBERS))
def test_many_requests_for_numbers(task: str) -> None:
    with serving({"encoding": {"task": task}}) as running:
        assert run(running, 100, rounds=4, paths=NUMBERS[task]) > 500


@pytest.mark.slow
def test_ten_thousand_requests(server: Running) -> None:
    assert run(server, 60, rounds=12) > 10_000


def test_every_route_is_in_the_document(server: Running) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    paths = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    assert set(document["paths"]) == paths
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "200" in operation["responses"]
            assert "422" not in operation["responses"]
