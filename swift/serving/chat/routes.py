"""`POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.chat.growing import GrowingAnswer
from swift.serving import links
from swift.serving.chat import wire
from swift.serving.chat.convert import Asked, asked
from swift.serving.chat.write import Deltas, Writer, choice, finish_of, logprobs_json
from swift.serving.guard import Visit
from swift.serving.http import DONE, JsonRoute, answer, event, service_of, streamed, unless_gone, visit_of
from swift.serving.link.wire import Ready
from swift.serving.reading import Reading, begun, read_answers
from swift.serving.service import Begun, Finished, Grew, Service, usage_of
from swift.serving.wire import ERRORS, EVENTS

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

ROUTE = "/v1/chat/completions"


@router.post(
    ROUTE,
    summary="Answer a chat",
    responses={
        200: {"model": wire.ChatCompletion, "content": EVENTS, "links": links.OF_CHAT},
        **ERRORS,
    },
    response_class=Response,
)
async def chat_completions(body: wire.ChatRequest, request: Request) -> Response:
    """Answer a chat, whole or as a stream of events."""
    service, visit = service_of(request), visit_of(request)
    ready = service.ready
    work = asked(body, service.adapter(body.model), service.rules, service.media, ready)
    if body.stream:
        return await streamed(request, _events(service, visit, body, work, ready))
    return await unless_gone(request.receive, _whole(service, visit, body, work, ready))


async def _whole(service: Service, visit: Visit, body: wire.ChatRequest, work: Asked, ready: Ready) -> Response:
    readings = await read_answers(service, visit, work, ready.reader)
    choices = [choice(reading.growing.message, reading.ending) for reading in readings]
    usage = usage_of([reading.ending for reading in readings], work.count)
    value = Writer(body.model).completion(choices, usage)
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), value)
    return answer(value)


async def _events(
    service: Service, visit: Visit, body: wire.ChatRequest, work: Asked, ready: Ready
) -> AsyncGenerator[bytes, None]:
    """The events of a stream."""
    writer = Writer(body.model)
    readings: list[Reading] = []
    deltas: list[Deltas] = []
    named: set[int] = set()
    async with aclosing(service.answers(visit, [work.request], count=work.count, stream=True)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                readings = begun(work, ready.reader, happened, early=True)
                deltas = [Deltas() for _ in readings]
                continue
            index = happened.index
            if index not in named:
                named.add(index)
                yield event(writer.chunk(index, {"role": "assistant", "content": ""}))
            if isinstance(happened, Finished):
                readings[index].done = happened
            for chunk in _chunks(writer, readings[index].growing, deltas[index], happened):
                yield event(chunk)
    usage = usage_of([reading.ending for reading in readings], work.count)
    if body.stream_options is not None and body.stream_options.include_usage:
        yield event(writer.last(usage))
    yield DONE
    choices = [choice(reading.growing.message, reading.ending) for reading in readings]
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), writer.completion(choices, usage))


def _chunks(
    writer: Writer, growing: GrowingAnswer, deltas: Deltas, happened: Grew | Finished
) -> Iterator[dict[str, Any]]:
    """What is told of an event: nothing, where it may still become something else."""
    index = happened.index
    if isinstance(happened, Grew):
        told = deltas.of(growing.add(happened.piece.text))
        logprobs = logprobs_json(happened.piece.logprobs or None)
        if logprobs and not told:
            told = [{}]
        for place, delta in enumerate(told):
            yield writer.chunk(index, delta, logprobs=None if place else logprobs)
        return
    for delta in deltas.of(growing.finish()):
        yield writer.chunk(index, delta)
    yield writer.chunk(index, {}, finish=finish_of(happened.completion, calls=growing.calls > 0))
