"""The connection to an engine's server: one asyncio loop in a thread of its own, retries, and errors in our words."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import orjson

from swift.errors import ConfigError, EngineError, RowError, SwiftError
from swift.hub.network import one_line

REFUSED = "refused"
"""Why a request has no answer that the server does not want to answer."""

ROOT = "root:"
"""A path that begins so stands beside `/v1` of the base address, not behind it."""

_BUSY = (429, 502, 503, 504)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_PAUSE = 30.0
_BROKEN = (httpx2.TransportError, httpx2.StreamError)

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how it is asked.

    Attributes:
        url: Its base address, such as http://127.0.0.1:8000/v1.
        api_key: Sent with every request; None where the server wants none.
        at_once: Requests that it gets at a time.
        timeout: Seconds without any sign of it after which it counts as dead.
        retries: Tries after a failed connection, or a server that is busy.
    """

    url: str
    api_key: str | None = None
    at_once: int = 32
    timeout: float = 600.0
    retries: int = 5

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def base_url(text: str) -> str:
    """An address as OpenAI's clients want it: without a slash at its end, with /v1 where no path is given."""
    plain = text.rstrip("/")
    return plain if urlsplit(plain).path else f"{plain}/v1"


class Link:
    """Asks one server. All of it may be called from any thread, but for what is a coroutine.

    Args:
        address: The server.
        died: What to tell when the server cannot be reached, where it is known to have died; else None.
        erred: What to add where the server fails at a request (5xx), such as where its log is.
    """

    def __init__(
        self,
        address: Address,
        *,
        died: Callable[[], SwiftError | None] = lambda: None,
        erred: Callable[[], str] = lambda: "",
    ) -> None:
        self.address = address
        self._died = died
        self._erred = erred
        self._loop = asyncio.new_event_loop()
        self._room = asyncio.Semaphore(address.at_once)
        self._client = httpx2.AsyncClient(
            headers={} if address.api_key is None else {"Authorization": f"Bearer {address.api_key}"},
            timeout=httpx2.Timeout(address.timeout, connect=min(30.0, address.timeout), pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=address.at_once),
            # A proxy has no business between us and this machine.
            trust_env=urlsplit(address.url).hostname not in _LOOPBACK,
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name="swift-engine-link", daemon=True)
        self._thread.start()

    def spawn(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the loop; cancelling the future cancels it and closes its connection."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def soon(self, call: Callable[[], None]) -> None:
        """Call something in the loop's thread."""
        self._loop.call_soon_threadsafe(call)

    def close(self) -> None:
        """Cancel what runs, and end the thread."""
        if not self._thread.is_alive():
            return
        with contextlib.suppress(concurrent.futures.TimeoutError):
            self.spawn(self._shut()).result(timeout=10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10.0)

    async def _shut(self) -> None:
        others = [task for task in asyncio.all_tasks(self._loop) if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    def room(self) -> asyncio.Semaphore:
        """To be held while a request is with the server."""
        return self._room

    async def get(self, path: str) -> Json:
        """The JSON object at a path behind the base address.

        Raises:
            SwiftError, RowError: As `post`.
        """
        async with self._opened("GET", path, None) as response:
            return self._checked(await response.aread())

    async def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """The JSON object that answers another.

        Raises:
            RowError: The server does not want to answer this.
            ConfigError: It does not accept the key, or has no such path.
            EngineError: It cannot be reached, or answers with something else than JSON.
        """
        async with self._opened("POST", path, body) as response:
            return self._checked(await response.aread())

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Json, None]:
        """The JSON objects of a stream of server-sent events, as they come.

        Raises:
            RowError, ConfigError, EngineError: As `post`.
        """
        async with self._opened("POST", path, body) as response:
            try:
                async for data in _data(response.aiter_bytes()):
                    yield self._checked(data)
            except _BROKEN as error:
                raise self._lost(error) from error

    @contextlib.asynccontextmanager
    async def _opened(self, method: str, path: str, body: Mapping[str, Any] | None) -> AsyncIterator[httpx2.Response]:
        """A response that is no error; tried again where the server is busy or cannot be reached."""
        content = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._client.build_request(method, _joined(self.address.url, path), content=content, headers=headers)
        response = await self._sent(request)
        try:
            if response.status_code != 200:
                raise self._refusal(response.status_code, await _text(response))
            yield response
        finally:
            await response.aclose()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        for number in range(self.address.retries + 1):
            last = number == self.address.retries
            try:
                response = await self._client.send(request, stream=True)
            except _BROKEN as error:
                if last or isinstance(error, httpx2.ReadTimeout) or self._died() is not None:
                    raise self._lost(error) from error
                await asyncio.sleep(min(0.5 * 2**number, _LONGEST_PAUSE))
                continue
            if response.status_code not in _BUSY or last:
                return response
            pause = _retry_after(response, 0.5 * 2**number)
            await response.aclose()
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def _lost(self, error: Exception) -> SwiftError:
        """What to tell of a connection that does not work."""
        url = self.address.url
        if isinstance(error, httpx2.ReadTimeout):
            return EngineError(
                f"{url} has given no sign for {self.address.timeout:g} s", hint="raise --engine.timeout, or see its log"
            )
        known = self._died()
        if known is not None:
            return known
        return EngineError(
            f"{url} cannot be reached: {one_line(error)}", hint="is the server running, at this address?"
        )

    def _checked(self, content: bytes) -> Json:
        """A JSON object that is no error."""
        url = self.address.url
        try:
            value = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            shown = one_line(content[:200].decode(errors="replace"))
            raise EngineError(
                f"{url} answers with something else than JSON: {shown}", hint="is it the right address?"
            ) from error
        if not isinstance(value, dict):
            raise EngineError(f"{url} answers with something else than a JSON object", hint="is it the right address?")
        if value.get("error"):
            code = value["error"].get("code") if isinstance(value["error"], dict) else None
            raise self._refusal(code if isinstance(code, int) else 400, _message(value))
        return value

    def _refusal(self, status: int, text: str) -> RowError | SwiftError:
        """The error for a status that is not 200."""
        url = self.address.url
        if status in (401, 403):
            return ConfigError(f"{url} does not accept the key ({status})", hint="give it with --api_key_env VARIABLE")
        if status == 404:
            return ConfigError(f"{url} does not know this: {text}", hint="see --base_url and --served_model_name")
        if status in _BUSY:
            return EngineError(f"{url} is busy or out of order ({status}): {text}", hint="try again later")
        more = self._erred() if status >= 500 else ""
        return RowError(REFUSED, f"the server answers {status}: {text}{more and f' ({more})'}")


def _joined(url: str, path: str) -> str:
    return url.removesuffix("/v1") + path.removeprefix(ROOT) if path.startswith(ROOT) else url + path


async def _data(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The `data` of server-sent events, up to `[DONE]`.

    Lines end in LF or CR LF only: JSON may hold characters at which Python would split lines too.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            value = line.strip()
            if not value.startswith(b"data:"):
                continue
            value = value[len(b"data:") :].strip()
            if value == b"[DONE]":
                return
            yield value


async def _text(response: httpx2.Response) -> str:
    content = await response.aread()
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return one_line(content[:300].decode(errors="replace"))
    return _message(value) if isinstance(value, dict) else one_line(str(value))


def _message(value: Mapping[str, Any]) -> str:
    """What an error says, in the ways in which servers write it."""
    error = value.get("error", value)
    told = error.get("message") or error.get("detail") if isinstance(error, Mapping) else error
    return one_line(str(told or value), 300)


def _retry_after(response: httpx2.Response, default: float) -> float:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else default
