"""A small client for `swift deploy`, and for any server that speaks OpenAI's API.

    client = swift.InferClient("http://127.0.0.1:8000")
    print(client.chat([{"role": "user", "content": "Hello!"}]).content)

What fails for the moment (no connection, 429, 502, 503, 504) is tried again, as long as the server asks to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from swift.serving.answers import (
    Answer,
    answer_of,
    base_url,
    failure_of,
    is_here,
    json_of,
    key_header,
    names_of,
    patience,
    require_end,
    times,
    unreachable,
)
from swift.serving.encoding import client as encoding
from swift.serving.encoding.client import Label, Ranked
from swift.serving.events import DONE, Event, event_of

Messages = Sequence[Mapping[str, Any]]
"""Turns in OpenAI's form."""


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
        self._http = httpx.Client(
            base_url=self._base, headers=key_header(api_key), timeout=times(timeout), trust_env=not is_here(url)
        )
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
        return names_of(self._ask("GET", "models", None))

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
        yield from (event.content for event in self.events(messages, **options) if event.content)

    def events(self, messages: Messages, **options: Any) -> Iterator[Event]:
        """All that an answer tells as it comes: words, thinking, calls, tokens; arguments as of `chat`.

        Closing the iterator closes the connection, at which the server stops.

        Raises:
            ServerError: The server refuses, cannot be reached, or breaks off.
        """
        body = {**self._body(messages, options), "stream": True}
        for number in range(self._retries + 1):
            try:
                with self._http.stream("POST", "chat/completions", json=body) as response:
                    if response.status_code == 200:
                        ended = False
                        for line in response.iter_lines():
                            if (event := event_of(line)) is not None:
                                ended = ended or event.finish is not None
                                yield event
                            ended = ended or line == DONE
                        require_end(ended)
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
                    return json_of(response)
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
        self._http = httpx.AsyncClient(
            base_url=self._base, headers=key_header(api_key), timeout=times(timeout), trust_env=not is_here(url)
        )
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
        return names_of(await self._ask("GET", "models", None))

    async def chat(self, messages: Messages, **options: Any) -> Answer:
        """As `InferClient.chat`."""
        return answer_of(await self._ask("POST", "chat/completions", await self._body(messages, options)))

    async def stream(self, messages: Messages, **options: Any) -> AsyncIterator[str]:
        """As `InferClient.stream`."""
        async with aclosing(self.events(messages, **options)) as events:
            async for event in events:
                if event.content:
                    yield event.content

    async def events(self, messages: Messages, **options: Any) -> AsyncGenerator[Event, None]:
        """As `InferClient.events`."""
        body = {**await self._body(messages, options), "stream": True}
        for number in range(self._retries + 1):
            try:
                async with self._http.stream("POST", "chat/completions", json=body) as response:
                    if response.status_code == 200:
                        ended = False
                        async for line in response.aiter_lines():
                            if (event := event_of(line)) is not None:
                                ended = ended or event.finish is not None
                                yield event
                            ended = ended or line == DONE
                        require_end(ended)
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
                    return json_of(response)
                problem = failure_of(response)
            await asyncio.sleep(patience(number, self._retries, problem, response))
            number += 1
