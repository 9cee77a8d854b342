"""From prompts as clients write them to requests, and from answers to choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swift.serving.choosing import Rules, answers, guide_of, sampling_of
from swift.serving.completions.wire import CompletionRequest
from swift.serving.errors import bad
from swift.types import Ids, Origin, Prompt, Request, Text, TokenLogprob

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
    if body.echo and body.logprobs is not None:
        raise bad("log-probabilities of the prompt are not computed: leave out echo or logprobs", "echo")
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


def logprobs_json(tokens: Sequence[TokenLogprob] | None, offset: int) -> dict[str, Any] | None:
    """Log-probabilities of tokens; None where they were not asked for.

    Args:
        tokens: They.
        offset: Characters of the answer before them.
    """
    if tokens is None:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{other.text: other.logprob for other in (*token.top, token)} for token in tokens],
        "text_offset": offsets,
    }


def _prompt(item: str | list[int], rules: Rules) -> Prompt:
    if isinstance(item, str):
        if not item:
            raise bad("the prompt is empty", "prompt")
        return Text(item, Origin("request", 1))
    if max(item) >= rules.vocabulary:
        raise bad(f"token ids are 0 to {rules.vocabulary - 1}", "prompt")
    return Ids(tuple(item))
