"""`POST /tokenize` and `POST /detokenize`, in vLLM's form."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from swift.serving import links
from swift.serving.chat.convert import prompt_of
from swift.serving.chat.wire import ChatMessage
from swift.serving.errors import bad
from swift.serving.http import JsonRoute, answer, service_of, unless_gone
from swift.serving.link import wire as link
from swift.serving.wire import ERRORS, Count, Json, Told, Tool, Wire
from swift.types import Origin, Prompt, Text

router = APIRouter(route_class=JsonRoute)
"""Its routes."""


class TokenizeRequest(Wire):
    """A text, or a chat, whose tokens are wanted."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    tools: list[Tool] | None = None
    add_special_tokens: bool = True
    return_token_strs: bool | None = None
    chat_template_kwargs: Json | None = None


class Tokens(Told):
    """Token ids, and the text of each where it was asked for."""

    count: int
    tokens: list[int]
    token_strs: list[str] | None


class DetokenizeRequest(Wire):
    """Tokens whose text is wanted."""

    model: str | None = None
    tokens: list[Count]


class Detokenized(Told):
    """The text of tokens."""

    prompt: str


@router.post(
    "/tokenize",
    summary="Tokens of a text or chat",
    responses={200: {"model": Tokens, "links": links.OF_TOKENIZE}, **ERRORS},
    response_class=Response,
)
async def tokenize(body: TokenizeRequest, request: Request) -> Response:
    """The tokens that the model would be given."""
    service = service_of(request)
    if body.model is not None:
        service.adapter(body.model)
    if (body.prompt is None) == (body.messages is None):
        raise bad("give either prompt or messages")
    prompt: Prompt
    if body.messages is None:
        prompt = Text(body.prompt or "", Origin("request", 1))
    else:
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
        prompt = prompt_of(body.messages, tools, body.chat_template_kwargs or {}, service.rules, service.media)
    make = partial(link.Tokenize, prompt=prompt, special=body.add_special_tokens, texts=bool(body.return_token_strs))
    found = await unless_gone(request.receive, service.ask(make))
    assert isinstance(found, link.Tokenized)
    return answer({"count": len(found.ids), "tokens": found.ids, "token_strs": found.texts})


@router.post(
    "/detokenize",
    summary="Text of tokens",
    responses={200: {"model": Detokenized, "links": links.OF_DETOKENIZE}, **ERRORS},
    response_class=Response,
)
async def detokenize(body: DetokenizeRequest, request: Request) -> Response:
    """The text of token ids, special tokens included."""
    service = service_of(request)
    if body.model is not None:
        service.adapter(body.model)
    make = partial(link.Detokenize, ids=tuple(body.tokens))
    found = await unless_gone(request.receive, service.ask(make))
    assert isinstance(found, link.Detokenized)
    return answer({"prompt": found.text})
