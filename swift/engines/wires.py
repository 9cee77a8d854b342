"""How servers are spoken to: what they take, and what they answer, whatever the words for it are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from swift.errors import RowError
from swift.types import Guide, GuideKind, Request, Sampling, TokenLogprob

UNSUPPORTED = "unsupported_option"
"""Why a request is refused that asks for what a server cannot do."""

OTHER_PROMPT = "other_prompt"
"""Why a request is refused whose prompt the server has seen as other tokens."""


@dataclass(frozen=True, slots=True)
class Takes:
    """What a server takes and tells, beyond what OpenAI's own does.

    Attributes:
        server: Its name, for messages.
        extras: Names of sampling fields: `top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `ignore_eos`,
            `stop_token_ids`. Those that it takes are always sent, so that its own defaults never count.
        always: Fields that are sent with every request.
        tells_ids: It tells the ids of prompt and answer where it is asked to.
        stop_texts: It knows stop texts; where not, they are found here, and the connection is closed.
        guides: The fields that make an answer look as a guide says, by the guide's kind.
        scores: How it tells the likelihood of given tokens: `prompt_logprobs` (vLLM), or `echo` (OpenAI's first
            models). Empty where it does not.
        bare_echo: An echo needs no new token behind it.
    """

    server: str
    extras: frozenset[str] = frozenset()
    always: Mapping[str, Any] = field(default_factory=dict)
    tells_ids: bool = False
    stop_texts: bool = True
    guides: Mapping[GuideKind, Callable[[Guide], dict[str, Any]]] = field(default_factory=dict)
    scores: Literal["", "prompt_logprobs", "echo"] = ""
    bare_echo: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, ready to be sent.

    Attributes:
        request: It.
        model: What the server calls the model or adapter.
        ids: The prompt; None where the server renders it.
        text: The prompt as text, where it is sent so.
        limit: Tokens of the answer.
        stops: Ids that end it.
    """

    request: Request
    model: str
    ids: tuple[int, ...] | None
    text: str | None
    limit: int | None
    stops: frozenset[int]


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event of a server adds to an answer.

    Attributes:
        text: New text; ignored where there are ids.
        ids: New tokens.
        logprobs: One for each of them.
        finish: Why the answer is over; None where it is not.
        prompt_ids: The prompt, where the server tells what it has seen.
        prompt_tokens: How many tokens the prompt has, where that is told.
        tokens: How many tokens the whole answer has, where that is told.
        cached: How many of the prompt's tokens did not have to be computed.
    """

    text: str = ""
    ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Literal["stop", "length"] | None = None
    prompt_ids: tuple[int, ...] | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    cached: int = 0


Reader = Callable[[Mapping[str, Any]], Delta]
"""Reads an event of a stream, or a whole response."""


class Wire(Protocol):
    """One of a server's ways to be asked.

    Attributes:
        path: Behind the server's base address.
    """

    @property
    def path(self) -> str:
        """Behind the server's base address."""

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """The JSON object to be posted.

        Raises:
            RowError: The request asks for what this server cannot do.
        """

    def reader(self) -> Reader:
        """Reads the answer to one request."""


def sampling_fields(asked: Asked, takes: Takes) -> dict[str, Any]:
    """The fields that say how to choose tokens.

    Raises:
        RowError: The server has no such option.
    """
    rules = asked.request.sampling
    fields: dict[str, Any] = {**takes.always, "temperature": rules.temperature, "top_p": rules.top_p}
    if asked.limit is not None:
        fields["max_tokens"] = asked.limit
    if rules.seed is not None:
        fields["seed"] = rules.seed
    for name, penalty in (
        ("presence_penalty", rules.presence_penalty),
        ("frequency_penalty", rules.frequency_penalty),
    ):
        if penalty:
            fields[name] = penalty
    if rules.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in rules.logit_bias}
    if rules.stop and takes.stop_texts:
        fields["stop"] = list(rules.stop)
    fields |= _extras(rules, asked.stops, takes)
    if rules.guide is not None:
        write = takes.guides.get(rules.guide.kind)
        if write is None:
            raise RowError(UNSUPPORTED, f"{takes.server} does not guide answers by a {rules.guide.kind}")
        fields |= write(rules.guide)
    return fields


def _extras(rules: Sampling, stops: frozenset[int], takes: Takes) -> dict[str, Any]:
    values: dict[str, tuple[Any, Any]] = {
        "top_k": (rules.top_k, 0),
        "min_p": (rules.min_p, 0.0),
        "repetition_penalty": (rules.repetition_penalty, 1.0),
        "min_tokens": (rules.min_new_tokens, 0),
        "ignore_eos": (rules.ignore_eos, False),
        "stop_token_ids": (sorted(rules.stop_ids), []),
    }
    fields: dict[str, Any] = {}
    for name, (value, default) in values.items():
        if name in takes.extras:
            fields[name] = value
        elif value != default:
            raise RowError(UNSUPPORTED, f"{takes.server} has no {name}")
    if "stop_token_ids" in takes.extras:
        # The engine's own idea of where answers end may be another one.
        fields["stop_token_ids"] = [] if rules.ignore_eos else sorted(stops)
    return fields


def finish_of(told: Any) -> Literal["stop", "length"] | None:
    """What a server's `finish_reason` means; a call of a function and a filter end an answer, too."""
    if told is None:
        return None
    return "length" if told in ("length", "max_tokens", "model_length") else "stop"


def usage_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The counts in a response's `usage`, by their names in `Delta`."""
    usage = data.get("usage")
    if not isinstance(usage, Mapping):
        return {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return {
        "prompt_tokens": usage.get("prompt_tokens"),
        "tokens": usage.get("completion_tokens"),
        "cached": cached or 0,
    }
