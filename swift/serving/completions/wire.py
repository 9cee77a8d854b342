"""The forms of `/v1/completions`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swift.serving.wire import Choosing, Count, Positive, ResponseFormat, Told, Usage

Ids = Annotated[list[Count], Field(min_length=1)]


class CompletionRequest(Choosing):
    """One or several prompts to go on with: texts or token ids."""

    prompt: str | Ids | Annotated[list[str], Field(min_length=1)] | Annotated[list[Ids], Field(min_length=1)]
    max_tokens: Count | None = None
    logprobs: Count | None = None
    echo: bool | None = None
    best_of: Positive | None = None
    suffix: None = None
    response_format: ResponseFormat | None = None


class Logprobs(Told):
    """How likely the tokens of an answer are, and of its prompt, where that is echoed; nothing of the first token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(Told):
    """One answer."""

    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(Told):
    """The answers; in a stream, what they have grown by."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
