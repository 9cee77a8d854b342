"""`/v1/completions` with the prompt as token ids: the server sees exactly what training saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swift.engines.wires import Asked, Delta, Reader, Takes, finish_of, sampling_fields, usage_of
from swift.types import TokenLogprob

_ID = "token_id:"


@dataclass(frozen=True, slots=True)
class Completions:
    """OpenAI's completions, with what vLLM, SGLang and our own server add.

    Attributes:
        takes: What the server takes.
    """

    takes: Takes

    @property
    def path(self) -> str:
        """Behind the server's base address."""
        return "/completions"

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """The JSON object to be posted.

        Raises:
            RowError: The request asks for what this server cannot do.
        """
        rules = asked.request.sampling
        body: dict[str, Any] = {
            "model": asked.model,
            "prompt": list(asked.ids or ()) if asked.text is None else asked.text,
            **sampling_fields(asked, self.takes),
        }
        if rules.logprobs is not None:
            body["logprobs"] = rules.logprobs
        if self.takes.tells_ids:
            body["return_token_ids"] = True
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def reader(self) -> Reader:
        """Reads the answer to one request."""
        return read


def read(data: Mapping[str, Any]) -> Delta:
    """One event, or a whole response."""
    counts = usage_of(data)
    choices = data.get("choices") or ()
    if not choices:
        return Delta(**counts)
    choice = choices[0]
    prompt = choice.get("prompt_token_ids") or data.get("prompt_token_ids")
    ids = tuple(choice.get("token_ids") or ())
    return Delta(
        text=choice.get("text") or "",
        ids=ids,
        logprobs=tuple(_logprobs(choice.get("logprobs") or {}, ids)),
        finish=finish_of(choice.get("finish_reason")),
        prompt_ids=None if prompt is None else tuple(prompt),
        **counts,
    )


def _logprobs(told: Mapping[str, Any], ids: Sequence[int]) -> list[TokenLogprob]:
    """Log-probabilities as completions tell them: lists side by side.

    Tokens are texts, or `token_id:N`; a text alone does not say which token it is, so that its id is then -1.
    """
    tokens, values = told.get("tokens") or (), told.get("token_logprobs") or ()
    likeliest = told.get("top_logprobs") or ()
    found = []
    for place, (token, value) in enumerate(zip(tokens, values, strict=False)):
        top = (likeliest[place] or {}) if place < len(likeliest) else {}
        order = sorted(top.items(), key=lambda item: -item[1])
        found.append(
            TokenLogprob(
                id=ids[place] if place < len(ids) else id_of(token),
                text=token,
                logprob=float("-inf") if value is None else value,
                top=tuple(TokenLogprob(id_of(text), text, number) for text, number in order),
            )
        )
    return found


def id_of(token: str) -> int:
    """The id in `token_id:N`; -1 for any other text."""
    number = token.removeprefix(_ID)
    return int(number) if number != token and number.isdecimal() else -1


def schema_of(text: str) -> Any:
    """A JSON schema as a value."""
    return json.loads(text)
