"""From the options of a request to `Sampling`, within the server's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from swift.config.serve import ServedSampling, ServeLimits
from swift.serving.errors import bad
from swift.serving.wire import Choosing, Json, ObjectFormat, SchemaFormat, TextFormat
from swift.types import Guide, Sampling

_LONGEST_STOP = 256
_MOST_BIASES = 1024
_SEED_MASK = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request's options are checked against.

    Attributes:
        limits: The server's.
        defaults: What a request that says nothing gets.
        vocabulary: Number of token ids.
    """

    limits: ServeLimits
    defaults: ServedSampling
    vocabulary: int


def sampling_of(
    options: Choosing, rules: Rules, *, max_tokens: int | None, logprobs: int | None, guide: Guide | None = None
) -> Sampling:
    """The sampling of a chat or text completion.

    Args:
        options: What the request says.
        rules: Limits and defaults.
        max_tokens: Longest answer; None takes the default.
        logprobs: As `Sampling.logprobs`.
        guide: What the answer must look like.

    Raises:
        ApiError: 400, for what is out of bounds.
    """
    defaults = rules.defaults
    most = new_tokens(max_tokens, rules)
    if logprobs is not None and logprobs > rules.limits.logprobs:
        raise bad(f"at most {rules.limits.logprobs} log-probabilities a place", "top_logprobs")
    if (options.min_tokens or 0) > most:
        raise bad(f"min_tokens is {options.min_tokens}, and the answer has at most {most} tokens", "min_tokens")
    top_k = defaults.top_k if options.top_k is None else max(options.top_k, 0)
    return Sampling(
        max_new_tokens=most,
        temperature=_or(options.temperature, defaults.temperature),
        top_p=_or(options.top_p, defaults.top_p),
        top_k=top_k,
        min_p=_or(options.min_p, defaults.min_p),
        repetition_penalty=_or(options.repetition_penalty, defaults.repetition_penalty),
        stop=stops(options.stop, rules) or defaults.stop,
        seed=None if options.seed is None else options.seed & _SEED_MASK,
        min_new_tokens=options.min_tokens or 0,
        ignore_eos=bool(options.ignore_eos),
        presence_penalty=options.presence_penalty or 0.0,
        frequency_penalty=options.frequency_penalty or 0.0,
        logit_bias=_biases(options.logit_bias or {}, rules.vocabulary),
        stop_ids=_stop_ids(options.stop_token_ids or (), rules),
        logprobs=logprobs,
        guide=guide,
    )


def new_tokens(wanted: int | None, rules: Rules) -> int:
    """Longest answer.

    Raises:
        ApiError: 400, for more than the server allows.
    """
    allowed = rules.limits.completion_tokens
    if wanted is None:
        default = rules.defaults.max_new_tokens
        return default if allowed is None else min(default, allowed)
    if allowed is not None and wanted > allowed:
        raise bad(f"answers have at most {allowed} tokens here", "max_tokens")
    return wanted


def stops(given: str | Sequence[str] | None, rules: Rules) -> tuple[str, ...]:
    """Stop texts.

    Raises:
        ApiError: 400, for too many, an empty one or one that is too long.
    """
    found = () if given is None else (given,) if isinstance(given, str) else tuple(given)
    if len(found) > rules.limits.stops:
        raise bad(f"at most {rules.limits.stops} stop texts", "stop")
    if any(not text or len(text) > _LONGEST_STOP for text in found):
        raise bad(f"a stop text has 1 to {_LONGEST_STOP} characters", "stop")
    return found


def answers(options: Choosing, rules: Rules) -> int:
    """How many answers a prompt gets.

    Raises:
        ApiError: 400, for more than the server allows.
    """
    count = options.n or 1
    most = min(rules.limits.n, rules.limits.max_running)
    if count > most:
        raise bad(f"n is {count}; at most {most} here", "n")
    return count


def guide_of(form: TextFormat | ObjectFormat | SchemaFormat | None, rules: Rules) -> Guide | None:
    """What `response_format` asks for.

    Raises:
        ApiError: 400, for a schema that is too large.
    """
    if isinstance(form, ObjectFormat):
        return Guide("json", '{"type": "object"}')
    if isinstance(form, SchemaFormat):
        return schema_guide(form.json_schema.schema_, rules)
    return None


def schema_guide(schema: Json | None, rules: Rules) -> Guide:
    """JSON after a schema; any JSON where there is none.

    Raises:
        ApiError: 400, for a schema that is too large.
    """
    text = orjson.dumps(schema or {})
    require_small(len(text), rules)
    return Guide("json", text.decode())


def require_small(size: int, rules: Rules) -> None:
    """Check the size in bytes of schemas.

    Raises:
        ApiError: 400, where it is too large.
    """
    if size > rules.limits.schema_kilobytes * 1000:
        raise bad(f"JSON schemas have at most {rules.limits.schema_kilobytes} kB here", code="schema_too_large")


def _or(given: float | None, default: float) -> float:
    return default if given is None else float(given)


def _biases(given: Mapping[str, float], vocabulary: int) -> tuple[tuple[int, float], ...]:
    if len(given) > _MOST_BIASES:
        raise bad(f"at most {_MOST_BIASES} tokens", "logit_bias")
    found = []
    for name, value in given.items():
        if not (name.isascii() and name.isdecimal() and len(name) < 10 and int(name) < vocabulary):
            raise bad(f"keys are token ids, 0 to {vocabulary - 1}", "logit_bias")
        found.append((int(name), float(value)))
    return tuple(found)


def _stop_ids(given: Sequence[int], rules: Rules) -> tuple[int, ...]:
    if len(given) > rules.limits.stops or any(token >= rules.vocabulary for token in given):
        raise bad(f"at most {rules.limits.stops} token ids, 0 to {rules.vocabulary - 1}", "stop_token_ids")
    return tuple(given)
