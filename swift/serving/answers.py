"""What a client makes of a server's answers: values, errors, and how long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import httpx
import orjson

from swift.errors import ServerError
from swift.types import ToolCall

_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_WAIT = 30.0
_CONNECT_SECONDS = 10.0
_LONGEST_MESSAGE = 500


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


def times(seconds: float) -> httpx.Timeout:
    """A server may take long to answer, but not to be reached."""
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def _foreign() -> ServerError:
    return ServerError(
        "what answers there does not speak OpenAI's language", hint="see that the address is right, such as .../v1"
    )


def require_end(ended: bool) -> None:
    """Make sure that a stream came to its end.

    Raises:
        ServerError: It did not.
    """
    if not ended:
        raise ServerError("the server broke off in the middle of the answer")
