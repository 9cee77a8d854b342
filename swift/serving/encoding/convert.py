"""From these requests to what the engine is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swift.serving.chat.convert import messages_of
from swift.serving.choosing import Rules
from swift.serving.encoding.wire import Document, InputRequest, PairsRequest, RerankRequest, ScoreRequest
from swift.serving.errors import bad
from swift.serving.service import Service
from swift.types import EncodeRequest, Ids, Origin, Prompt, Text, TextPair


def inputs_of(body: InputRequest, service: Service, *, dimensions: int | None = None) -> list[EncodeRequest]:
    """What is asked of each input.

    Raises:
        ApiError: 400, for too many, empty or unknown ones; 404 for a model that is not served.
    """
    adapter, rules = service.adapter(body.model), service.rules
    if (body.input is None) == (body.messages is None):
        raise bad("give either input or messages", "input")
    prompts: list[Prompt]
    if body.messages is not None:
        prompts = [messages_of(body.messages, body.chat_template_kwargs or {}, rules, service.media)]
    else:
        prompts = [_prompt(item, rules) for item in _several(body.input)]
    _require_few(len(prompts), rules, "input")
    return [EncodeRequest(prompt, adapter, body.truncate_prompt_tokens, dimensions) for prompt in prompts]


def pairs_of(body: ScoreRequest, service: Service) -> list[EncodeRequest]:
    """What is asked of each pair.

    Raises:
        ApiError: As `inputs_of`; and 400 where the numbers of texts do not go together.
    """
    first, second = _listed(body.text_1), _listed(body.text_2)
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise bad(f"text_1 has {len(first)} texts and text_2 has {len(second)}; give one, or as many", "text_1")
    return _pairs(list(zip(first, second, strict=True)), body, service, "text_2")


def ranked_of(body: RerankRequest, service: Service) -> list[EncodeRequest]:
    """What is asked of each document.

    Raises:
        ApiError: As `inputs_of`.
    """
    return _pairs([(body.query, text_of(document)) for document in body.documents], body, service, "documents")


def text_of(document: str | Document) -> str:
    """A document's text."""
    return document if isinstance(document, str) else document.text


def _pairs(pairs: Sequence[tuple[str, str]], body: PairsRequest, service: Service, field: str) -> list[EncodeRequest]:
    adapter, rules = service.adapter(body.model), service.rules
    _require_few(len(pairs), rules, field)
    asked = [TextPair(query, document, body.instruction) for query, document in pairs]
    return [EncodeRequest(pair, adapter, body.truncate_prompt_tokens) for pair in asked]


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, str) or isinstance(given[0], int) else list(given)


def _prompt(item: str | list[int], rules: Rules) -> Prompt:
    if isinstance(item, str):
        if not item:
            raise bad("an input is empty", "input")
        return Text(item, Origin("request", 1))
    if max(item) >= rules.vocabulary:
        raise bad(f"token ids are 0 to {rules.vocabulary - 1}", "input")
    return Ids(tuple(item))


def _require_few(count: int, rules: Rules, field: str) -> None:
    if count > rules.limits.inputs:
        raise bad(f"{count} texts; at most {rules.limits.inputs} here", field)
