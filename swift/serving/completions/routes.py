"""`POST /v1/completions`."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from swift.serving import links
from swift.serving.completions.convert import echoes_of, logprobs_json, requests_of
from swift.serving.completions.wire import Completion, CompletionRequest
from swift.serving.guard import Visit
from swift.serving.http import DONE, JsonRoute, answer, event, service_of, streamed, unless_gone, visit_of
from swift.serving.link import wire as link
from swift.serving.service import Begun, Finished, Service, usage_of
from swift.serving.wire import ERRORS, EVENTS
from swift.types import Echo, Ids, Prompt, Text
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


@dataclass(frozen=True, slots=True)
class _Before:
    """What stands in front of the answers to a prompt.

    Attributes:
        text: It.
        echo: How likely it is, where that was asked.
    """

    text: str = ""
    echo: Echo | None = None

    @property
    def width(self) -> int:
        """Characters of its tokens, each written alone."""
        return 0 if self.echo is None else len(self.echo.first) + sum(len(token.text) for token in self.echo.tokens)


async def _whole(
    service: Service, visit: Visit, body: CompletionRequest, wanted: Sequence[Wanted], count: int
) -> Response:
    before = await _befores(service, visit, body, wanted)
    ended: dict[int, Finished] = {}
    if body.max_tokens == 0:
        choices = [_echoed(index, before[index // count], body) for index in range(len(wanted) * count)]
        usage = _usage_of_prompts(before)
    else:
        async with aclosing(service.answers(visit, wanted, count=count)) as events:
            async for happened in events:
                if isinstance(happened, Finished):
                    ended[happened.index] = happened
        choices = [
            _choice(
                index,
                before[index // count].text + done.completion.text,
                logprobs_json(done.completion.logprobs, echo=before[index // count].echo),
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
    before = await _befores(service, visit, body, wanted)
    head = _head(body.model)
    fronts = [one for one in before for _ in range(count)]
    texts = [one.text for one in fronts]
    usage = _usage_of_prompts(before)
    for index, front in enumerate(fronts if body.echo else ()):
        yield event({**head, "choices": [_echoed(index, front, body)]})
    if body.max_tokens != 0:
        ended: list[Finished] = []
        async for choice in _grown(service, visit, wanted, fronts, texts, ended):
            yield event({**head, "choices": [choice]})
        usage = usage_of(ended, count)
    if body.stream_options is not None and body.stream_options.include_usage:
        yield event({**head, "choices": [], "usage": usage})
    yield DONE
    choices = [_choice(index, text, None, None) for index, text in enumerate(texts)]
    service.keep(visit, ROUTE, body.model_dump(exclude_none=True), {**head, "choices": choices, "usage": usage})


async def _grown(
    service: Service,
    visit: Visit,
    wanted: Sequence[Wanted],
    fronts: Sequence[_Before],
    texts: list[str],
    ended: list[Finished],
) -> AsyncGenerator[dict[str, Any], None]:
    """What answers grow by, as choices.

    Args:
        fronts: What stands before each answer.
        texts: The text of that; they grow.
        ended: Gets the answers.
    """
    starts = [len(text) for text in texts]
    places = [front.width for front in fronts]
    count = len(fronts) // len(wanted)
    async with aclosing(service.answers(visit, wanted, count=count, stream=True)) as events:
        async for happened in events:
            if isinstance(happened, Begun):
                continue
            index, told = happened.index, None
            if isinstance(happened, Finished):
                ended.append(happened)
                finish: str | None = happened.completion.finish
                text = happened.completion.text[len(texts[index]) - starts[index] :]
            else:
                finish, text = None, happened.piece.text
                told = logprobs_json(happened.piece.logprobs or None, places[index])
                places[index] += sum(len(token.text) for token in happened.piece.logprobs)
            texts[index] += text
            if text or told or finish:
                yield _choice(index, text, told, finish)


def _echoed(index: int, before: _Before, body: CompletionRequest) -> dict[str, Any]:
    """A prompt as a choice, or the first piece of one."""
    told = None if body.logprobs is None else logprobs_json((), echo=before.echo)
    return _choice(index, before.text, told, "length" if body.max_tokens == 0 else None)


def _usage_of_prompts(before: Sequence[_Before]) -> dict[str, Any]:
    tokens = sum(one.echo.prompt_tokens for one in before if one.echo is not None)
    return {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}


async def _befores(service: Service, visit: Visit, body: CompletionRequest, wanted: Sequence[Wanted]) -> list[_Before]:
    """What stands in front of the answers to each prompt."""
    if not body.echo:
        return [_Before()] * len(wanted)
    asked = echoes_of(body, wanted)
    texts = [await _text(service, request.prompt) for request in wanted]
    if not asked:
        return [_Before(text) for text in texts]
    found = await service.echoes(visit, asked, answered=body.max_tokens != 0)
    return [_Before(text, echo) for text, echo in zip(texts, found, strict=True)]


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
