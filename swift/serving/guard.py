"""What every request passes first: host, key, rate, content type, size and time of its body; and the access log.

Plain ASGI, so that nothing of the request is parsed before it may be.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swift.config.serve import ServeConfig
from swift.serving.admission import Rates
from swift.serving.errors import ApiError, error_response, unavailable
from swift.serving.keys import Keyring
from swift.serving.logs import AccessLog
from swift.serving.metrics import Metrics

OPEN = frozenset({"/health"})
"""Routes that need no key."""

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_HOST = re.compile(r"(?:\[(?P<inside>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]*))(?::\d*)?")
_BODIES = 16
"""How many bodies of the largest size may be in memory at once."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})


@dataclass(slots=True)
class Visit:
    """One request, as handlers and logs know it; it lies in the scope's state as `visit`.

    Attributes:
        number: Its id, which the client is told in the header x-request-id.
        client: Name of the key; without keys, the address.
        named: Whether it has a key that is known.
        admin: Whether that is an administrator's.
        route: The route's pattern, once it is known.
        prompt_tokens: Tokens of its prompts.
        completion_tokens: Tokens of its answers.
        gone: Whether the client left before the end.
    """

    number: str
    client: str
    named: bool = False
    admin: bool = False
    route: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    gone: bool = False
    began: float = field(default_factory=time.perf_counter)


class Watch:
    """Outermost: gives each request its number, counts it and logs it.

    Args:
        app: What is inside.
        log: The access log.
        metrics: What is counted.
    """

    def __init__(self, app: ASGIApp, *, log: AccessLog, metrics: Metrics) -> None:
        self._app = app
        self._log = log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("", 0))[0]
        visit = Visit(uuid.uuid4().hex, address)
        scope.setdefault("state", {})["visit"] = visit
        status = 499  # the client left before there was an answer

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = visit.number
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception:
            status = 500
            raise
        finally:
            self._note(scope, visit, status, address)

    def _note(self, scope: Scope, visit: Visit, status: int, address: str) -> None:
        seconds = time.perf_counter() - visit.began
        route = visit.route or "other"
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if visit.gone:
            self._metrics.cancelled.inc()
        self._log.write(
            {
                "request": visit.number,
                "address": address,
                "client": visit.client,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
                "prompt_tokens": visit.prompt_tokens,
                "completion_tokens": visit.completion_tokens,
                **({"gone": True} if visit.gone else {}),
            }
        )


class Guard:
    """Refuses what may not come in, and reads bodies whole before anything is done for them.

    Args:
        app: What is inside.
        config: Where the server listens, and its limits.
        keys: Who may ask; empty where everyone may.
        admins: Who may ask for more; they may ask for all that others may.
    """

    def __init__(self, app: ASGIApp, *, config: ServeConfig, keys: Keyring, admins: Keyring) -> None:
        self._app = app
        self._keys = keys
        self._admins = admins
        self._limits = config.limits
        self._hosts = None if keys else local_names(config.server.host)
        self._rates = Rates(config.limits.requests_per_minute, "requests", {**keys.requests, **admins.requests})
        self._held = 0  # bytes of bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._admitted(scope, receive)
        except ApiError as error:
            await error_response(error, scope["path"])(scope, receive, send)
            return
        if body is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, replay(body, receive), send)
        finally:
            self._held -= len(body)

    async def _admitted(self, scope: Scope, receive: Receive) -> bytes | None:
        """Check the head, then read the body, if the method has one; it is counted in `_held` from then on."""
        headers = Headers(scope=scope)
        visit: Visit = scope["state"]["visit"]
        _require_plain(scope, headers)
        # What comes in one piece is parsed before its size is seen.
        if head_size(scope) > self._limits.head_kilobytes * 1000:
            raise ApiError(
                431, f"the head has more than {self._limits.head_kilobytes} kB", headers={"Connection": "close"}
            )
        if self._hosts is not None and host_of(headers.get("host", "")) not in self._hosts:
            # A page of the web whose name suddenly means this machine must not reach it.
            raise ApiError(421, "this server does not answer to that Host")
        if scope["path"] not in OPEN:
            self._name(visit, headers)
            self._rates.require(visit.client, 1)
        if scope["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
            return None
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            self._require_json(headers)
        return await self._body(headers, receive)

    def _require_json(self, headers: Headers) -> None:
        if not _JSON.fullmatch(headers.get("content-type", "").strip()):
            # Other types can be sent by any web page without asking first.
            raise ApiError(415, "the body must be JSON: Content-Type: application/json")

    def _name(self, visit: Visit, headers: Headers) -> None:
        """Find out whose key a request has."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
        admin = self._admins.name(given) if given else None
        name = admin or (self._keys.name(given) if given else None)
        if name is None and self._keys:
            raise no_key(wrong=bool(given))
        if name is not None:
            visit.client, visit.named, visit.admin = name, True, admin is not None

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most = self._limits.body_megabytes * 1_000_000
        too_large = ApiError(
            413,
            f"the body has more than {self._limits.body_megabytes} MB",
            code="request_too_large",
            headers={"Connection": "close"},
        )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > most:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in _parts(receive):
                    parts.append(part)
                    size += len(part)
                    self._held += len(part)
                    if size > most:
                        raise too_large
                    if self._held > most * _BODIES:
                        raise unavailable("the server holds too many large requests")
                return b"".join(parts)
        except BaseException as error:
            self._held -= size
            if not isinstance(error, TimeoutError):
                raise
            raise ApiError(
                408,
                f"the body has not come within {self._limits.body_seconds:g} seconds",
                headers={"Connection": "close"},
            ) from None


def head_size(scope: Scope) -> int:
    """Bytes of a request's head, without its method and version."""
    lines = sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
    return lines + len(scope.get("raw_path", b"")) + len(scope["query_string"])


def _require_plain(scope: Scope, headers: Headers) -> None:
    """Refuse heads that others may read in another way, and end the connection: what is behind is no request.

    Raises:
        ApiError: 400, where it is not clear where the body ends; 505, for other versions than 1.0 and 1.1.
    """
    if scope["http_version"] not in ("1.0", "1.1"):
        raise ApiError(505, "this server speaks HTTP/1.1", headers={"Connection": "close"})
    if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
        raise ApiError(400, "a body has one length: Content-Length or chunks", headers={"Connection": "close"})


def no_key(*, wrong: bool) -> ApiError:
    """A request without a key that is known."""
    return ApiError(
        401,
        "the key is wrong" if wrong else "a key is needed: Authorization: Bearer KEY",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "the client left")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` first, and then what really comes: that the client leaves."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return message

    return again


def host_of(header: str) -> str:
    """The name in a Host header, without port and brackets, in lower case; what has another form stays as it is."""
    text = header.strip().lower()
    found = _HOST.fullmatch(text)
    return text if found is None else found["inside"] or found["name"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that a server listens on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def local_names(host: str) -> frozenset[str] | None:
    """What the Host header may say where no key is asked for; None for anything."""
    return _LOCAL | {host.lower()} if is_loopback(host) else None
