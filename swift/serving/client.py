"""A small client for `swift deploy`, and for any server that speaks OpenAI's API.

    client = swift.InferClient("http://127.0.0.1:8000")
    print(client.chat([{"role": "user", "content": "Hello!"}]).content)

What fails for the moment (no connection, 429, 502, 503, 504) is tried again, as long as the server asks to wait.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from swift.errors import ServerError
from swift.serving.encoding import client as encoding
from swift.serving.encoding.client import Label, Ranked
from swift.serving.events import DONE, Event, event_of
from swift.types import ToolCall

_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_WAIT = 30.0
_CONNECT_SECONDS = 10.0
_LONGEST_MESSAGE = 500

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
        self._http = httpx.Client(
            base_url=self._base, headers=key_header(api_key), timeout=_times(timeout), trust_env=not is_here(url)
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
                        _require_end(ended)
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
            base_url=self._base, headers=key_header(api_key), timeout=_times(timeout), trust_env=not is_here(url)
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
                        _require_end(ended)
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


def is_here(url: str) -> bool:
    """Whether an address is this machine's own, for which no proxy is asked."""
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


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


def json_of(response: httpx.Response) -> Any:
    """The JSON value of a success.

    Raises:
        ServerError: It is none.
    """
    try:
        return response.json()
    except ValueError:
        raise _foreign() from None


def names_of(value: Any) -> list[str]:
    """The names in a list of models.

    Raises:
        ServerError: It is no such list.
    """
    try:
        return [str(item["id"]) for item in value["data"]]
    except (KeyError, TypeError):
        raise _foreign() from None


def failure_of(response: httpx.Response) -> ServerError:
    """What an answer that is no success says."""
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    message = " ".join(str(message).split())[:_LONGEST_MESSAGE]
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


def _times(seconds: float) -> httpx.Timeout:
    """A server may take long to answer, but not to be reached."""
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def _foreign() -> ServerError:
    return ServerError(
        "what answers there does not speak OpenAI's language", hint="see that the address is right, such as .../v1"
    )


def _require_end(ended: bool) -> None:
    if not ended:
        raise ServerError("the server broke off in the middle of the answer")
