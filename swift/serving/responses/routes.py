"""`POST /v1/responses`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.chat.growing import GrowingAnswer
from swift.serving.blocks import Blocks
from swift.serving.chat.convert import Asked
from swift.serving.guard import Visit
from swift.serving.http import JsonRoute, answer, service_of, streamed, unless_gone, visit_of
from swift.serving.link.wire import Ready
from swift.serving.responses import wire
from swift.serving.responses.convert import asked
from swift.serving.responses.write import Writer
from swift.serving.service import Begun, Finished, Service
from swift.serving.wire import ERRORS

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

ROUTE = "/v1/responses"


@router.post(
    ROUTE,
    summary="Answer items",
    responses={
        200: {"model": wire.ResponseAnswer, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
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
    blocks, done = Blocks(), None
    opened = False
    async with aclosing(service.answers(visit, [work.request])) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                opened = happened.opened and not work.guided
            elif isinstance(happened, Finished):
                done = happened
                growing = GrowingAnswer(ready.reader, work.tools, opened=opened)
                blocks.add(growing.add(done.completion.text))
                blocks.add(growing.finish())
    assert done is not None
    value = Writer(body).response(blocks.blocks, done)
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), value)
    return answer(value)


async def _events(
    service: Service, visit: Visit, body: wire.ResponseRequest, work: Asked, ready: Ready
) -> AsyncGenerator[bytes, None]:
    writer, blocks = Writer(body), Blocks()
    growing = GrowingAnswer(ready.reader, work.tools)
    begun, done = False, None
    async with aclosing(service.answers(visit, [work.request], stream=True)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                growing = GrowingAnswer(ready.reader, work.tools, opened=happened.opened and not work.guided)
                continue
            if not begun:
                begun = True
                for told in writer.start():
                    yield told
            if isinstance(happened, Finished):
                done = happened
                found = [*blocks.add(growing.finish()), *blocks.finish()]
            else:
                found = blocks.add(growing.add(happened.piece.text))
            for told in writer.steps(found):
                yield told
    assert done is not None
    for told in writer.end(blocks.blocks, done):
        yield told
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), writer.response(blocks.blocks, done))
