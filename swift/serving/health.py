"""Whether the server lives, whether it can answer, what it serves, and what it counts."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.serving import links
from swift.serving.errors import ApiError
from swift.serving.http import JsonRoute, answer, service_of
from swift.serving.service import Service
from swift.serving.wire import ERRORS, Told

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

_STARTED = int(time.time())


class Health(Told):
    """The server's process lives."""

    status: Literal["ok"]


class Readiness(Told):
    """Requests can be answered."""

    status: Literal["ready"]
    engine: str


class ModelCard(Told):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    parent: str | None
    max_model_len: int | None


class ModelList(Told):
    """What is served."""

    object: Literal["list"]
    data: list[ModelCard]


@router.get("/health", summary="Whether the server lives", responses={200: {"model": Health}}, response_class=Response)
async def health() -> Response:
    """Whether the server's process lives; needs no key."""
    return answer({"status": "ok"})


@router.get(
    "/ready",
    summary="Whether requests can be answered",
    responses={200: {"model": Readiness}, **ERRORS},
    response_class=Response,
)
async def ready(request: Request) -> Response:
    """Whether the engine is ready; 503 while it loads, or is started again."""
    return answer({"status": "ready", "engine": service_of(request).ready.description})


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **ERRORS},
    response_class=Response,
)
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms in Prometheus' text form."""
    return Response(service_of(request).metrics.text(), media_type="text/plain; version=0.0.4")


@router.get(
    "/v1/models",
    summary="What is served",
    responses={200: {"model": ModelList, "links": links.OF_MODELS}, **ERRORS},
    response_class=Response,
)
async def models(request: Request) -> Response:
    """The model, and each adapter as a model."""
    service = service_of(request)
    return answer({"object": "list", "data": [card(name, service) for name in service.models]})


@router.get(
    "/v1/models/{model}",
    summary="One of the models",
    responses={200: {"model": ModelCard, "links": links.OF_MODEL}, **ERRORS},
    response_class=Response,
)
async def model(model: str, request: Request) -> Response:
    """One of the models by its name."""
    service = service_of(request)
    if model not in service.models:
        raise ApiError(404, "the model does not exist; GET /v1/models lists them", "model", "model_not_found")
    return answer(card(model, service))


def card(name: str, service: Service) -> dict[str, object]:
    """What is told of a model."""
    return {
        "id": name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "swift",
        "parent": None if name == service.model_name else service.model_name,
        "max_model_len": service.context,
    }
