"""The fields of the page, and the options of a request that they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from swift.app.talk import PageError

Thinking = str
"""`default`, `on` or `off`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the fields hold, as text; empty ones are not sent, so that the server's own value counts.

    Attributes:
        system: The system prompt.
        max_tokens: Longest answer.
        temperature: 0 takes the likeliest token.
        top_p: Share of probability that is sampled from.
        top_k: Number of likeliest tokens that are sampled from.
        min_p: Smallest share of the likeliest token's probability.
        repetition_penalty: Above 1 discourages repeats.
        presence_penalty: Above 0 discourages tokens that were there.
        frequency_penalty: Above 0 discourages tokens by how often they were there.
        seed: Of sampling.
        stop: A line for each text at which the answer ends.
        thinking: Whether the template is told to let the model think.
        tools: A JSON list of functions.
    """

    system: str = ""
    max_tokens: str = ""
    temperature: str = ""
    top_p: str = ""
    top_k: str = ""
    min_p: str = ""
    repetition_penalty: str = ""
    presence_penalty: str = ""
    frequency_penalty: str = ""
    seed: str = ""
    stop: str = ""
    thinking: Thinking = "default"
    tools: str = ""


_WHOLE = ("max_tokens", "top_k", "seed")
_NUMBERS = (
    *_WHOLE, "temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip


def options_of(wish: Wish) -> dict[str, Any]:
    """The options of a request, besides its model and messages.

    Raises:
        PageError: A field does not hold what it should.
    """
    options: dict[str, Any] = {"stream_options": {"include_usage": True}}
    texts: Mapping[str, str] = {name: getattr(wish, name).strip() for name in _NUMBERS}
    options.update({name: _number(name, text) for name, text in texts.items() if text})
    if stops := [line for line in wish.stop.splitlines() if line]:
        options["stop"] = stops
    if wish.thinking != "default":
        options["chat_template_kwargs"] = {"enable_thinking": wish.thinking == "on"}
    if wish.tools.strip():
        options["tools"] = tools_of(wish.tools)
    return options


def tools_of(text: str) -> list[dict[str, Any]]:
    """Functions, as OpenAI's API takes them; bare ones, with a name and parameters, are wrapped.

    Raises:
        PageError: The text is no list of functions.
    """
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PageError(f"tools: not JSON: {error.msg} (line {error.lineno})") from None
    values = values if isinstance(values, list) else [values]
    found = []
    for value in values:
        if not isinstance(value, dict) or not ("function" in value or "name" in value):
            raise PageError('tools: a JSON list of functions is needed, each {"name": ..., "parameters": {...}}')
        found.append(value if "function" in value else {"type": "function", "function": value})
    return found


def _number(name: str, text: str) -> float | int:
    """The number in a field; whether it is in bounds is the server's to say."""
    try:
        return int(text) if name in _WHOLE else _finite(text)
    except ValueError:
        kind = "whole number" if name in _WHOLE else "number"
        raise PageError(f"{name.replace('_', ' ')}: {text[:40]!r} is no {kind}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
