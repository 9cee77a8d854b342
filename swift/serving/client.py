"""A small client for `swift deploy`, and for any server that speaks OpenAI's API.

    client = swift.InferClient("http://127.0.0.1:8000")
    print(client.chat([{"role": "user", "content": "Hello!"}]).content)

What fails for the moment (no connection, 429, 502, 503, 504) is tried again, as long as the server asks to wait.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from swift.errors import ServerError
from swift.serving.encoding import client as encoding
from swift.serving.encoding.client import Label, Ranked
from swift.types import ToolCall

_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_WAIT = 30.0

Messages = Sequence[Mapping[str, Any]]
"""Turns in OpenAI's form."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said.

    Attributes:
        content: The words.
        reasoning: The thinking, where the server tells it apart.
        tool_calls: Functions that it calls.
        finish: Why it ended: stop, length or tool_calls.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the answer.
    """

    content: str
    reasoning: str | None
    tool_calls: tuple[ToolCall, ...]
    finish: str
    prompt_tokens: int
    completion_tokens: int


class InferClient:
    """Asks a server and waits for it.

    Args:
        url: Of the server, such as http://127.0.0.1:8000.
        api_key: The key, where the server wants one.
        model: Whom to ask; None takes the server's first model.
        timeout: Seconds that one try may take.
        retries: How often to try again.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout: float = 600.0,
        retries: int = 4,
    ) -> None:
        self._base = base_url(url)
        self._http = httpx.Client(base_url=self._base, headers=key_header(api_key), timeout=timeout)
        self._model = model
        self._retries = retries

    def __enter__(self) -> InferClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[str]:
        """Names of the server's models.

        Raises:
            ServerError: It refuses, or cannot be reached.
        """
        return [str(item["id"]) for item in self._ask("GET", "models", None)["data"]]

    def chat(self, messages: Messages, **options: Any) -> Answer:
        """Answer a chat.

        Args:
            messages: The turns.
            options: Further fields of the request, such as temperature, max_tokens or tools.

        Raises:
            ServerError: The server refuses, or cannot be reached.
        """
        return answer_of(self._ask("POST", "chat/completions", self._body(messages, options)))

    def stream(self, messages: Messages, **options: Any) -> Iterator[str]:
        """The words of an answer as they come; arguments as of `chat`.

        Raises:
            ServerError: The server refuses, cannot be reached, or breaks off.
        """
        body = {**self._body(messages, options), "stream": True}
        for number in range(self._retries + 1):
            try:
                with self._http.stream("POST", "chat/completions", json=body) as response:
                    if response.status_code == 200:
                        yield from (text for line in response.iter_lines() if (text := words_of(line)))
                        return
                    response.read()
            except httpx.ConnectError as error:
                wait = patience(number, self._retries, unreachable(error), None)
            except httpx.HTTPError as error:
                raise unreachable(error) from error
            else:
                wait = patience(number, self._retries, failure_of(response), response)
            time.sleep(wait)

    def embed(self, texts: str | Sequence[str], **options: Any) -> NDArray[np.float32]:
        """Vectors of texts, float32 [texts, d].

        Args:
            texts: One or several.
            options: Further fields of the request, such as dimensions or truncate_prompt_tokens.

        Raises:
            ServerError: The server refuses, or cannot be reached.
        """
        body = self._with_model(encoding.embed_body(texts, options))
        return encoding.vectors_of(self._ask("POST", "embeddings", body))

    def rerank(self, query: str, documents: Sequence[str], *, top_n: int | None = None, **options: Any) -> list[Ranked]:
        """The documents that suit a query best, first; see `embed`."""
        body = {"query": query, "documents": list(documents), "return_documents": False, **options}
        body |= {} if top_n is None else {"top_n": top_n}
        return encoding.ranked_of(self._ask("POST", "rerank", self._with_model(body)))

    def score(self, text_1: str | Sequence[str], text_2: str | Sequence[str], **options: Any) -> list[float]:
        """How well pairs suit: of each `text_1` with its `text_2`, or of a single one with each; see `embed`."""
        first, second = (text if isinstance(text, str) else list(text) for text in (text_1, text_2))
        body = self._with_model({"text_1": first, "text_2": second, **options})
        return encoding.scores_of(self._ask("POST", "score", body))

    def classify(self, texts: str | Sequence[str], **options: Any) -> list[Label]:
        """Labels of texts; see `embed`."""
        body = self._with_model({"input": texts if isinstance(texts, str) else list(texts), **options})
        return encoding.labels_of(self._ask("POST", encoding.beside(self._base, "/classify"), body))

    def reward(self, messages: Messages, **options: Any) -> float:
        """How good the last answer of a chat is; see `embed`."""
        body = self._with_model({"messages": list(messages), **options})
        return encoding.reward_of(self._ask("POST", encoding.beside(self._base, "/pooling"), body))

    def _body(self, messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
        return self._with_model({"messages": list(messages), **options})

    def _with_model(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._model is None and "model" not in body:
            self._model = self.models()[0]
        return {"model": self._model, **body}

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        number = 0
        while True:
            try:
                response: httpx.Response | None = self._http.request(method, path, json=body)
            except httpx.HTTPError as error:
                response, problem = None, unreachable(error)
            if response is not None:
                if response.status_code == 200:
                    return response.json()
                problem = failure_of(response)
            time.sleep(patience(number, self._retries, problem, response))
            number += 1


class AsyncInferClient:
    """Asks a server without blocking; arguments as of `InferClient`."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout: float = 600.0,
        retries: int = 4,
    ) -> None:
        self._base = base_url(url)
        self._http = httpx.AsyncClient(base_url=self._base, headers=key_header(api_key), timeout=timeout)
        self._model = model
        self._retries = retries

    async def __aenter__(self) -> AsyncInferClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def models(self) -> list[str]:
        """As `InferClient.models`."""
        return [str(item["id"]) for item in (await self._ask("GET", "models", None))["data"]]

    async def chat(self, messages: Messages, **options: Any) -> Answer:
        """As `InferClient.chat`."""
        return answer_of(await self._ask("POST", "chat/completions", await self._body(messages, options)))

    async def stream(self, messages: Messages, **options: Any) -> AsyncIterator[str]:
        """As `InferClient.stream`."""
        body = {**await self._body(messages, options), "stream": True}
        for number in range(self._retries + 1):
            try:
                async with self._http.stream("POST", "chat/completions", json=body) as response:
                    if response.status_code == 200:
                        async for line in response.aiter_lines():
                            if text := words_of(line):
                                yield text
                        return
                    await response.aread()
            except httpx.ConnectError as error:
                wait = patience(number, self._retries, unreachable(error), None)
            except httpx.HTTPError as error:
                raise unreachable(error) from error
            else:
                wait = patience(number, self._retries, failure_of(response), response)
            await asyncio.sleep(wait)

    async def embed(self, texts: str | Sequence[str], **options: Any) -> NDArray[np.float32]:
        """As `InferClient.embed`."""
        body = await self._with_model(encoding.embed_body(texts, options))
        return encoding.vectors_of(await self._ask("POST", "embeddings", body))

    async def rerank(
        self, query: str, documents: Sequence[str], *, top_n: int | None = None, **options: Any
    ) -> list[Ranked]:
        """As `InferClient.rerank`."""
        body = {"query": query, "documents": list(documents), "return_documents": False, **options}
        body |= {} if top_n is None else {"top_n": top_n}
        return encoding.ranked_of(await self._ask("POST", "rerank", await self._with_model(body)))

    async def score(self, text_1: str | Sequence[str], text_2: str | Sequence[str], **options: Any) -> list[float]:
        """As `InferClient.score`."""
        first, second = (text if isinstance(text, str) else list(text) for text in (text_1, text_2))
        body = await self._with_model({"text_1": first, "text_2": second, **options})
        return encoding.scores_of(await self._ask("POST", "score", body))

    async def classify(self, texts: str | Sequence[str], **options: Any) -> list[Label]:
        """As `InferClient.classify`."""
        body = await self._with_model({"input": texts if isinstance(texts, str) else list(texts), **options})
        return encoding.labels_of(await self._ask("POST", encoding.beside(self._base, "/classify"), body))

    async def reward(self, messages: Messages, **options: Any) -> float:
        """As `InferClient.reward`."""
        body = await self._with_model({"messages": list(messages), **options})
        return encoding.reward_of(await self._ask("POST", encoding.beside(self._base, "/pooling"), body))

    async def _body(self, messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
        return await self._with_model({"messages": list(messages), **options})

    async def _with_model(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._model is None and "model" not in body:
            self._model = (await self.models())[0]
        return {"model": self._model, **body}

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        number = 0
        while True:
            try:
                response: httpx.Response | None = await self._http.request(method, path, json=body)
            except httpx.HTTPError as error:
                response, problem = None, unreachable(error)
            if response is not None:
                if response.status_code == 200:
                    return response.json()
                problem = failure_of(response)
            await asyncio.sleep(patience(number, self._retries, problem, response))
            number += 1


def base_url(url: str) -> str:
    """The address below which the routes lie."""
    bare = url.rstrip("/")
    return bare if bare.endswith("/v1") else f"{bare}/v1"


def key_header(key: str | None) -> dict[str, str]:
    """The header that carries a key."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def answer_of(value: Mapping[str, Any]) -> Answer:
    """The first answer of a chat completion."""
    choice = value["choices"][0]
    message, usage = choice["message"], value.get("usage") or {}
    calls = tuple(
        ToolCall(call["function"]["name"], _arguments(call["function"]["arguments"]), call.get("id"))
        for call in message.get("tool_calls") or ()
    )
    return Answer(
        content=message.get("content") or "",
        reasoning=message.get("reasoning_content"),
        tool_calls=calls,
        finish=choice["finish_reason"],
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
    )


def words_of(line: str) -> str:
    """The words in a line of a stream; empty for none.

    Raises:
        ServerError: The line tells of an error.
    """
    if not line.startswith("data: ") or line == "data: [DONE]":
        return ""
    value = orjson.loads(line[len("data: ") :])
    if "error" in value:
        raise ServerError(str(value["error"].get("message", "the server broke off")), status=200)
    choices = value.get("choices") or ()
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice.get("index") == 0)


def failure_of(response: httpx.Response) -> ServerError:
    """What an answer that is no success says."""
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    return ServerError(f"the server answers {response.status_code}: {message}", status=response.status_code)


def unreachable(error: httpx.HTTPError) -> ServerError:
    """What a broken connection means."""
    told = str(error) or type(error).__name__
    return ServerError(f"the server cannot be reached: {told}", hint="see that it runs, and that the address is right")


def patience(number: int, retries: int, problem: ServerError, response: httpx.Response | None) -> float:
    """Seconds to wait before the next try.

    Args:
        number: How many tries were made again already.
        retries: How many there may be.
        problem: What went wrong.
        response: The answer, if there was one; it may say how long to wait.

    Raises:
        ServerError: `problem`, where trying again is of no use, or was done often enough.
    """
    if number >= retries or (response is not None and response.status_code not in _AGAIN):
        raise problem
    told = response.headers.get("retry-after", "") if response is not None else ""
    if told.isdecimal():
        return min(float(told), _LONGEST_WAIT)
    return min(0.25 * 2.0**number, _LONGEST_WAIT) * (0.5 + random.random())


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
