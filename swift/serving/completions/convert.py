"""From prompts as clients write them to requests, and from answers to choices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from swift.serving.choosing import Rules, answers, guide_of, sampling_of
from swift.serving.completions.wire import CompletionRequest
from swift.serving.errors import bad
from swift.types import Echo, EchoRequest, Ids, Origin, Prompt, Request, Text, TokenLogprob

_FEW = 16
"""Longest answer where the request says nothing, as OpenAI's API has it."""


def prompts_of(body: CompletionRequest, rules: Rules) -> list[Prompt]:
    """The prompts of a request, one by one.

    Raises:
        ApiError: 400, for too many or empty ones, or unknown tokens.
    """
    given = body.prompt
    several: list[Any] = [given] if isinstance(given, str) or isinstance(given[0], int) else list(given)
    if len(several) > rules.limits.prompts:
        raise bad(f"{len(several)} prompts; at most {rules.limits.prompts} here", "prompt")
    return [_prompt(item, rules) for item in several]


def requests_of(body: CompletionRequest, adapter: str, rules: Rules) -> tuple[list[Request], int]:
    """A request for each prompt, and how many answers each gets.

    Raises:
        ApiError: 400, for what cannot be answered.
    """
    prompts = prompts_of(body, rules)
    count = answers(body, rules)
    if body.best_of is not None and body.best_of != count:
        raise bad("best_of must be n: all answers are told", "best_of")
    if body.max_tokens == 0 and not body.echo:
        raise bad("max_tokens 0 asks for nothing; with echo it asks for the prompt and its logprobs", "max_tokens")
    if len(prompts) * count > rules.limits.max_running:
        raise bad(f"{len(prompts) * count} answers; at most {rules.limits.max_running} here", "n")
    sampling = sampling_of(
        body,
        rules,
        max_tokens=_FEW if body.max_tokens is None else body.max_tokens,
        logprobs=body.logprobs,
        guide=guide_of(body.response_format, rules),
    )
    return [Request(prompt, sampling, adapter) for prompt in prompts], count


def echoes_of(body: CompletionRequest, wanted: Sequence[Request]) -> list[EchoRequest]:
    """What is asked of each prompt's own tokens; nothing where they are not wanted."""
    if not body.echo or (body.logprobs is None and body.max_tokens != 0):
        return []
    return [EchoRequest(request.prompt, request.adapter, body.logprobs or 0) for request in wanted]


def logprobs_json(
    tokens: Sequence[TokenLogprob] | None, offset: int = 0, *, echo: Echo | None = None
) -> dict[str, Any] | None:
    """Log-probabilities of tokens; None where they were not asked for.

    Args:
        tokens: They.
        offset: Characters of the answer before them.
        echo: The prompt, whose tokens come before them.
    """
    if tokens is None:
        return None
    first = [] if echo is None else [echo.first]
    told = tokens if echo is None else (*echo.tokens, *tokens)
    texts = [*first, *(token.text for token in told)]
    return {
        "tokens": texts,
        "token_logprobs": [*(None for _ in first), *(token.logprob for token in told)],
        "top_logprobs": [*(None for _ in first), *(_likeliest(token) for token in told)],
        "text_offset": [*accumulate(map(len, texts[:-1]), initial=offset)] if texts else [],
    }


def _likeliest(token: TokenLogprob) -> dict[str, float]:
    """The likeliest tokens of a place, and its own; of several that are written alike, the likeliest."""
    found: dict[str, float] = {}
    for other in (*token.top, token):
        found[other.text] = max(other.logprob, found.get(other.text, other.logprob))
    return found


def _prompt(item: str | list[int], rules: Rules) -> Prompt:
    if isinstance(item, str):
        if not item:
            raise bad("the prompt is empty", "prompt")
        return Text(item, Origin("request", 1))
    if max(item) >= rules.vocabulary:
        raise bad(f"token ids are 0 to {rules.vocabulary - 1}", "prompt")
    return Ids(tuple(item))
