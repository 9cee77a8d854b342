"""`POST /v1/responses`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.serving.chat.convert import Asked
from swift.serving.guard import Visit
from swift.serving.http import JsonRoute, answer, service_of, streamed, unless_gone, visit_of
from swift.serving.link.wire import Ready
from swift.serving.reading import Reading, read_answers, read_stream
from swift.serving.responses import wire
from swift.serving.responses.convert import asked
from swift.serving.responses.write import Writer
from swift.serving.service import Service
from swift.serving.wire import ERRORS, EVENTS

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

ROUTE = "/v1/responses"


@router.post(
    ROUTE,
    summary="Answer items",
    responses={
        200: {"model": wire.ResponseAnswer, "content": EVENTS},
        **ERRORS,
    },
    response_class=Response,
)
async def responses(body: wire.ResponseRequest, request: Request) -> Response:
    """Answer a text or a list of items, whole or as a stream of events; nothing is kept."""
    service, visit = service_of(request), visit_of(request)
    ready = service.ready
    work = asked(body, service.adapter(body.model), service.rules, service.media, ready)
    if body.stream:
        return await streamed(request, _events(service, visit, body, work, ready))
    return await unless_gone(request.receive, _whole(service, visit, body, work, ready))


async def _whole(service: Service, visit: Visit, body: wire.ResponseRequest, work: Asked, ready: Ready) -> Response:
    (reading,) = await read_answers(service, visit, work, ready.reader)
    value = Writer(body).response(reading)
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), value)
    return answer(value)


async def _events(
    service: Service, visit: Visit, body: wire.ResponseRequest, work: Asked, ready: Ready
) -> AsyncGenerator[bytes, None]:
    writer = Writer(body)
    said: Reading | None = None
    async with aclosing(read_stream(service, visit, work, ready.reader)) as events:
        async for reading, steps in events:
            if said is None:
                for told in writer.start():
                    yield told
            said = reading
            for told in writer.steps(steps):
                yield told
    assert said is not None
    value = writer.response(said)
    yield writer.end(value)
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), value)
