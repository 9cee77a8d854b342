"""What every request to the page passes first: host, origin, who it is, which route, and how much it brings.

Plain ASGI, in front of gradio: routes that the page does not need do not exist, whatever gradio adds.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swift.serving.guard import host_of
from swift.serving.keys import Keyring

ROUTES = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(?:assets|static|svelte)/.*"
    r"|/gradio_api/(?:theme\.css|app_id|startup-events|upload|upload_progress|queue/join|queue/data|cancel|reset"
    r"|heartbeat/\w+|file=.*)"
)
"""What the page needs of gradio."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""What the browser may load: only what comes from here, so that no answer makes it ask another host."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_UPLOAD = "/gradio_api/upload"
_BODY = 4_000_000
"""Bytes of a request that is no upload."""


class Gate:
    """Refuses what may not come in.

    Args:
        app: What is inside.
        hosts: What the Host header may say; None for anything.
        keys: Who may come in, by name and password; empty for everyone.
        upload: Bytes that one upload may have.
        room: Bytes that are still free for uploads.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str] | None, keys: Keyring, upload: int, room: Callable[[], int]
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._keys = keys
        self._upload = upload
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the page needs no websocket
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            await self._admit(scope, receive, _guarded(send))
        else:
            await refusal(scope, receive, _guarded(send))

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        """What keeps a request out, by its head alone."""
        host = headers.get("host", "")
        if self._hosts is not None and host_of(host) not in self._hosts:
            # A page of the web whose name suddenly means this machine must not reach it.
            return PlainTextResponse("this page does not answer to that Host", 421)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return PlainTextResponse("requests of other pages are refused", 403)
        if self._keys and not self._known(headers.get("authorization", "")):
            return PlainTextResponse(
                "a name and a password are needed", 401, {"www-authenticate": 'Basic realm="swift", charset="UTF-8"'}
            )
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD", "POST") or not ROUTES.fullmatch(path):
            return PlainTextResponse("there is no such page", 404)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._most(path):
            return self._too_large(path)
        return None

    def _known(self, header: str) -> bool:
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return bool(colon) and self._keys.holds(name, password)

    def _most(self, path: str) -> int:
        # A form adds some lines around the file.
        return min(self._upload + 100_000, max(0, self._room())) if path == _UPLOAD else _BODY

    def _too_large(self, path: str) -> PlainTextResponse:
        if path != _UPLOAD:
            return PlainTextResponse(f"the message has more than {_BODY / 1e6:.0f} MB", 413)
        if self._room() < self._upload:
            return PlainTextResponse("there is no room for more files: clear a chat, or close its page", 413)
        return PlainTextResponse(f"files have at most {self._upload / 1e6:.0f} MB here", 413)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, and count what it brings."""
        most, size, begun = self._most(scope["path"]), 0, False

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > most:
                    raise _TooMuchError
            return message

        async def told(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, counted, told)
        except _TooMuchError:
            if not begun:
                await self._too_large(scope["path"])(scope, receive, send)


class _TooMuchError(Exception):
    """A body is larger than it may be."""


def _guarded(send: Send) -> Send:
    """A `send` that adds our headers."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return guarded
