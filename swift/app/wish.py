"""The fields of the page, and the options of a request that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from swift.app.talk import PageError

Thinking = str
"""`default`, `on` or `off`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the fields hold; None and empty texts are not sent, so that the server's own value counts.

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
    max_tokens: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: float | None = None
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
    values: Mapping[str, float | None] = {name: getattr(wish, name) for name in _NUMBERS}
    for name, value in values.items():
        if value is not None:
            options[name] = _whole(name, value) if name in _WHOLE else float(value)
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


def _whole(name: str, value: float) -> int:
    if value != int(value):
        raise PageError(f"{name.replace('_', ' ')}: {value:g} is no whole number")
    return int(value)
