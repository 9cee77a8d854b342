"""`POST /v1/completions`."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.serving import links
from swift.serving.completions.convert import logprobs_json, requests_of
from swift.serving.completions.wire import Completion, CompletionRequest
from swift.serving.guard import Visit
from swift.serving.http import DONE, JsonRoute, answer, event, service_of, streamed, unless_gone, visit_of
from swift.serving.link import wire as link
from swift.serving.service import Begun, Finished, Service, usage_of
from swift.serving.wire import ERRORS, EVENTS
from swift.types import Ids, Prompt, Text
from swift.types import Request as Wanted

router = APIRouter(route_class=JsonRoute)
"""Its routes."""

ROUTE = "/v1/completions"


@router.post(
    ROUTE,
    summary="Go on with a text",
    responses={
        200: {"model": Completion, "content": EVENTS, "links": links.OF_COMPLETIONS},
        **ERRORS,
    },
    response_class=Response,
)
async def completions(body: CompletionRequest, request: Request) -> Response:
    """Go on with one or several prompts, whole or as a stream of events."""
    service, visit = service_of(request), visit_of(request)
    wanted, count = requests_of(body, service.adapter(body.model), service.rules)
    if body.stream:
        return await streamed(request, _events(service, visit, body, wanted, count))
    return await unless_gone(request.receive, _whole(service, visit, body, wanted, count))


async def _whole(
    service: Service, visit: Visit, body: CompletionRequest, wanted: Sequence[Wanted], count: int
) -> Response:
    before = await _echoes(service, body, wanted)
    ended: dict[int, Finished] = {}
    async with aclosing(service.answers(visit, wanted, count=count)) as events:
        async for happened in events:
            if isinstance(happened, Finished):
                ended[happened.index] = happened
    choices = [
        _choice(
            index,
            before[index // count] + done.completion.text,
            logprobs_json(done.completion.logprobs, 0),
            done.completion.finish,
        )
        for index, done in sorted(ended.items())
    ]
    usage = usage_of(list(ended.values()), count)
    value = {**_head(body.model), "choices": choices, "usage": usage}
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), value)
    return answer(value)


async def _events(
    service: Service, visit: Visit, body: CompletionRequest, wanted: Sequence[Wanted], count: int
) -> AsyncGenerator[bytes, None]:
    before = await _echoes(service, body, wanted)
    head = _head(body.model)
    said = [""] * (len(wanted) * count)
    places = [0] * len(said)
    ended: list[Finished] = []
    async with aclosing(service.answers(visit, wanted, count=count, stream=True)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                continue
            index, told = happened.index, None
            echo = "" if said[index] or places[index] else before[index // count]
            if isinstance(happened, Finished):
                ended.append(happened)
                finish: str | None = happened.completion.finish
                text = happened.completion.text[len(said[index]) :]
            else:
                finish, text = None, happened.piece.text
                told = logprobs_json(happened.piece.logprobs or None, places[index])
                places[index] += sum(len(token.text) for token in happened.piece.logprobs)
            said[index] += text
            if echo or text or told or finish:
                yield event({**head, "choices": [_choice(index, echo + text, told, finish)]})
    usage = usage_of(ended, count)
    if body.stream_options is not None and body.stream_options.include_usage:
        yield event({**head, "choices": [], "usage": usage})
    yield DONE
    choices = [_choice(index, before[index // count] + text, None, None) for index, text in enumerate(said)]
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), {**head, "choices": choices, "usage": usage})


async def _echoes(service: Service, body: CompletionRequest, wanted: Sequence[Wanted]) -> list[str]:
    """What stands in front of the answers to each prompt."""
    if not body.echo:
        return [""] * len(wanted)
    return [await _text(service, request.prompt) for request in wanted]


async def _text(service: Service, prompt: Prompt) -> str:
    if isinstance(prompt, Text):
        return prompt.text
    assert isinstance(prompt, Ids)
    found = await service.ask(partial(link.Detokenize, ids=prompt.ids))
    assert isinstance(found, link.Detokenized)
    return found.text


def _choice(index: int, text: str, logprobs: dict[str, Any] | None, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}


def _head(model: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
    }
