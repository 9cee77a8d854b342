"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.serving import links
from swift.serving.anthropic import wire, write
from swift.serving.anthropic.convert import asked, chat_of
from swift.serving.chat.convert import Asked
from swift.serving.guard import Visit
from swift.serving.http import JsonRoute, answer, service_of, streamed, unless_gone, visit_of
from swift.serving.link import wire as link
from swift.serving.link.wire import Ready
from swift.serving.reading import Reading, read_answers, read_stream
from swift.serving.service import Service
from swift.serving.wire import EVENTS

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

ROUTE = "/v1/messages"


@router.post(
    ROUTE,
    summary="Answer a chat, in Anthropic's form",
    responses={
        200: {"model": wire.MessageAnswer, "content": EVENTS, "links": links.OF_MESSAGES},
        **wire.ERRORS,
    },
    response_class=Response,
)
async def messages(body: wire.MessageRequest, request: Request) -> Response:
    """Answer a chat, whole or as a stream of events."""
    service, visit = service_of(request), visit_of(request)
    ready = service.ready
    work = asked(body, service.adapter(body.model), service.rules, service.media, ready)
    if body.stream:
        return await streamed(request, _events(service, visit, body, work, ready))
    return await unless_gone(request.receive, _whole(service, visit, body, work, ready))


@router.post(
    f"{ROUTE}/count_tokens",
    summary="Count the tokens of a chat",
    responses={200: {"model": wire.Counted, "links": links.OF_COUNT}, **wire.ERRORS},
    response_class=Response,
)
async def count_tokens(body: wire.CountRequest, request: Request) -> Response:
    """How many tokens the model would be given."""
    service = service_of(request)
    service.adapter(body.model)
    _, _, chat = chat_of(body, service.rules, service.media, service.ready)
    found = await unless_gone(request.receive, service.ask(partial(link.Tokenize, prompt=chat)))
    assert isinstance(found, link.Tokenized)
    return answer({"input_tokens": len(found.ids)})


async def _whole(service: Service, visit: Visit, body: wire.MessageRequest, work: Asked, ready: Ready) -> Response:
    (reading,) = await read_answers(service, visit, work, ready.reader)
    value = write.message(body.model, reading)
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), value)
    return answer(value)


async def _events(
    service: Service, visit: Visit, body: wire.MessageRequest, work: Asked, ready: Ready
) -> AsyncGenerator[bytes, None]:
    said: Reading | None = None
    async with aclosing(read_stream(service, visit, work, ready.reader)) as events:
        async for reading, steps in events:
            if said is None:
                yield write.start(body.model, reading.tokens)
            said = reading
            for told in write.steps(steps):
                yield told
    assert said is not None
    for told in write.end(said):
        yield told
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), write.message(body.model, said))
