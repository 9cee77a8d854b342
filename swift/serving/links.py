"""How an answer of one route becomes a request to another, as links of the OpenAPI document.

A link's target is the name of the function that answers it. Each body is whole: with its expressions put in, it is a
request that the target takes.
"""

from __future__ import annotations

from typing import Any

Links = dict[str, dict[str, Any]]
"""Links of one status of one route, by their names."""

_TOKENS, _TEXT = "$response.body#/tokens", "$response.body#/choices/0/text"
_ID, _FIRST = "$response.body#/id", "$response.body#/data/0/id"
_MODEL, _MESSAGES = "$request.body#/model", "$request.body#/messages"
_FEW = 16
"""Tokens of an answer to a link's request."""


def _link(
    operation: str, description: str, *, parameters: dict[str, str] | None = None, body: Any = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": operation, "description": description}
    if parameters is not None:
        made["parameters"] = parameters
    return made if body is None else {**made, "requestBody": body}


def _hello(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": _FEW}


OF_MODELS: Links = {
    "card": _link("model", "One of the models that are listed.", parameters={"path.model": _FIRST}),
    "tokens": _link("tokenize", "A text in tokens of a listed model.", body={"model": _FIRST, "prompt": "Hello"}),
}
"""Behind `GET /v1/models`."""

OF_MODEL: Links = {
    "tokens": _link("tokenize", "A text in tokens of the model.", body={"model": _ID, "prompt": "Hello"}),
    "answer": _link("chat_completions", "An answer of the model.", body=_hello(_ID)),
}
"""Behind `GET /v1/models/{model}`."""

OF_TOKENIZE: Links = {
    "text": _link("detokenize", "The text of the tokens.", body={"tokens": _TOKENS}),
    "more": _link(
        "completions", "Go on behind the tokens.", body={"model": _MODEL, "prompt": _TOKENS, "max_tokens": _FEW}
    ),
    "vector": _link("embeddings", "The vector of the tokens.", body={"model": _MODEL, "input": _TOKENS}),
}
"""Behind `POST /tokenize`."""

OF_DETOKENIZE: Links = {
    "tokens": _link(
        "tokenize", "The text in tokens again.", body={"prompt": "$response.body#/prompt", "add_special_tokens": False}
    ),
}
"""Behind `POST /detokenize`."""

OF_COMPLETIONS: Links = {
    "tokens": _link("tokenize", "The answer in tokens.", body={"prompt": _TEXT, "add_special_tokens": False}),
    "more": _link("completions", "Go on behind the answer.", body={"model": _MODEL, "prompt": _TEXT}),
}
"""Behind `POST /v1/completions`."""

OF_CHAT: Links = {
    "tokens": _link("tokenize", "The chat in tokens.", body={"model": _MODEL, "messages": _MESSAGES}),
}
"""Behind `POST /v1/chat/completions`."""

OF_MESSAGES: Links = {
    "count": _link("count_tokens", "How long the chat is.", body={"model": _MODEL, "messages": _MESSAGES}),
}
"""Behind `POST /v1/messages`."""

OF_COUNT: Links = {
    "answer": _link(
        "messages",
        "An answer to the chat that was counted.",
        body={"model": _MODEL, "messages": _MESSAGES, "max_tokens": _FEW},
    ),
}
"""Behind `POST /v1/messages/count_tokens`."""

OF_LOAD: Links = {
    "card": _link("model", "The adapter as a model.", parameters={"path.model": _ID}),
    "answer": _link("chat_completions", "An answer of the adapter.", body=_hello(_ID)),
    "unload": _link("unload_lora_adapter", "Serve it no longer.", body={"lora_name": _ID}),
}
"""Behind `POST /v1/load_lora_adapter`."""

OF_UNLOAD: Links = {
    "list": _link("models", "What is served now."),
}
"""Behind `POST /v1/unload_lora_adapter`."""
