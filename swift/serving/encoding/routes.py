"""The routes of models that give vectors, labels and scores."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.serving.encoding import wire
from swift.serving.encoding.convert import inputs_of, pairs_of, ranked_of, text_of
from swift.serving.http import JsonRoute, answer, service_of, unless_gone, visit_of
from swift.serving.wire import ERRORS
from swift.types import Encoded, EncodeRequest

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

EMBEDDINGS, RERANK, SCORE, CLASSIFY, POOLING = "/v1/embeddings", "/v1/rerank", "/v1/score", "/classify", "/pooling"


@router.post(
    EMBEDDINGS,
    summary="Vectors of texts",
    responses={200: {"model": wire.Embeddings}, **ERRORS},
    response_class=Response,
)
async def embeddings(body: wire.EmbeddingRequest, request: Request) -> Response:
    """A vector for each input."""
    service_of(request).require("embed")
    asked = inputs_of(body, service_of(request), dimensions=body.dimensions)
    found = await _encoded(request, asked)
    as_text = body.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(item) if as_text else item.values.tolist()}
        for index, item in enumerate(found)
    ]
    return _kept(
        request, EMBEDDINGS, body, {"object": "list", "data": data, "model": body.model, "usage": _usage(found)}
    )


@router.post(
    RERANK, summary="Documents in order", responses={200: {"model": wire.Ranking}, **ERRORS}, response_class=Response
)
async def rerank(body: wire.RerankRequest, request: Request) -> Response:
    """The documents that suit a query best, first."""
    service_of(request).require("rerank")
    found = await _encoded(request, ranked_of(body, service_of(request)))
    scores = [float(item.values[0]) for item in found]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.top_n or None]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
    if body.return_documents is not False:
        results = [{**item, "document": {"text": text_of(body.documents[item["index"]])}} for item in results]
    value = {"id": _id("rerank"), "model": body.model, "results": results, "usage": _usage(found)}
    return _kept(request, RERANK, body, value)


@router.post(
    SCORE, summary="How pairs of texts suit", responses={200: {"model": wire.Scores}, **ERRORS}, response_class=Response
)
async def score(body: wire.ScoreRequest, request: Request) -> Response:
    """A score for each pair."""
    service_of(request).require("rerank")
    found = await _encoded(request, pairs_of(body, service_of(request)))
    data = [{"index": index, "object": "score", "score": float(item.values[0])} for index, item in enumerate(found)]
    return _kept(request, SCORE, body, _headed("score", body.model, data, found))


@router.post(
    CLASSIFY, summary="Labels of texts", responses={200: {"model": wire.Labels}, **ERRORS}, response_class=Response
)
async def classify(body: wire.InputRequest, request: Request) -> Response:
    """The likeliest label of each input, and the probability of each label."""
    service = service_of(request)
    service.require("classify")
    found = await _encoded(request, inputs_of(body, service))
    labels = service.ready.ability.labels
    data = [
        {
            "index": index,
            "label": labels[int(item.values.argmax())],
            "probs": item.values.tolist(),
            "num_classes": len(labels),
        }
        for index, item in enumerate(found)
    ]
    return _kept(request, CLASSIFY, body, _headed("classify", body.model, data, found))


@router.post(
    POOLING, summary="How good answers are", responses={200: {"model": wire.Pooling}, **ERRORS}, response_class=Response
)
async def pooling(body: wire.InputRequest, request: Request) -> Response:
    """What a reward model gives for a chat, or for each text."""
    service_of(request).require("reward")
    found = await _encoded(request, inputs_of(body, service_of(request)))
    data = [{"index": index, "object": "pooling", "data": item.values.tolist()} for index, item in enumerate(found)]
    return _kept(request, POOLING, body, _headed("pool", body.model, data, found))


async def _encoded(request: Request, asked: Sequence[EncodeRequest]) -> Sequence[Encoded]:
    """What the engine makes of it; given up when the client leaves."""
    return await unless_gone(request.receive, service_of(request).encodings(visit_of(request), asked))


def _kept(request: Request, route: str, body: wire.Asking, value: dict[str, Any]) -> Response:
    """The answer, which goes into the request log, if there is one."""
    service_of(request).keep(visit_of(request), route, body.model_dump(exclude_none=True), value)
    return answer(value)


def _headed(kind: str, model: str, data: list[dict[str, Any]], found: Sequence[Encoded]) -> dict[str, Any]:
    head = {"id": _id(kind), "object": "list", "created": int(time.time()), "model": model}
    return {**head, "data": data, "usage": _usage(found)}


def _id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex}"


def _usage(found: Sequence[Encoded]) -> dict[str, int]:
    tokens = sum(item.tokens for item in found)
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _base64(item: Encoded) -> str:
    return base64.b64encode(item.values.astype("<f4").tobytes()).decode()
