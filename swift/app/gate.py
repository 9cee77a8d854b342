"""What every request to the page passes first: host, origin, who it is, which route, and how much it brings.

Plain ASGI, in front of gradio: routes that the page does not need do not exist, whatever gradio adds.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swift.app.guesses import Guesses
from swift.hub.cache import folder_size
from swift.serving.guard import host_of, replay
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
_EVENT = "/gradio_api/queue/join"
_BODY = 4_000_000
"""Bytes of a request that is no upload."""


class Gate:
    """Refuses what may not come in.

    Args:
        app: What is inside.
        hosts: What the Host header may say; None for anything.
        keys: Who may come in, by name and password; empty for everyone.
        uploads: Where uploaded files lie.
        upload: Bytes that one of them may have.
        all_uploads: Bytes that all of them may have.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str] | None,
        keys: Keyring,
        uploads: Path,
        upload: int,
        all_uploads: int,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._keys = keys
        self._guesses = Guesses()
        self._uploads = uploads.resolve()
        self._upload = upload
        self._all_uploads = all_uploads

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
        stranger = self._stranger(scope, headers.get("authorization")) if self._keys else None
        if stranger is not None:
            return stranger
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD", "POST") or not ROUTES.fullmatch(path):
            return PlainTextResponse("there is no such page", 404)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._most(path):
            return self._too_large(path)
        return None

    def _stranger(self, scope: Scope, said: str | None) -> PlainTextResponse | None:
        """What keeps out who has no password, or has said too many wrong ones."""
        address = scope["client"][0] if scope.get("client") else ""
        if said is not None:
            wait = self._guesses.wait(address)
            if wait:  # nothing is compared, so that nothing is told of the password
                return PlainTextResponse("too many wrong passwords", 429, {"retry-after": str(wait)})
            if self._known(said):
                return None
            self._guesses.wrong(address)
        return PlainTextResponse(
            "a name and a password are needed", 401, {"www-authenticate": 'Basic realm="swift", charset="UTF-8"'}
        )

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

    def _room(self) -> int:
        return self._all_uploads - folder_size(self._uploads)

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
            if scope["path"] == _EVENT and scope["method"] == "POST":
                body = await _whole(counted)
                if not names_only(body, self._uploads):
                    await PlainTextResponse("only uploaded files can be shown", 403)(scope, receive, send)
                    return
                await self._app(scope, replay(body, receive), told)
                return
            await self._app(scope, counted, told)
        except _TooMuchError:
            if not begun:
                await self._too_large(scope["path"])(scope, receive, send)


async def _whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def names_only(body: bytes, uploads: Path) -> bool:
    """Whether an event of the page names no other files than uploaded ones.

    gradio takes the path of a file from the browser, reads it wherever it lies, and fetches it where it is an address.

    Args:
        body: The event as JSON; what is no JSON names nothing.
        uploads: Where uploaded files lie, resolved.
    """
    try:
        left: list[Any] = [orjson.loads(body)]
    except orjson.JSONDecodeError:
        return True
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()
            path = value.get("path")
            if isinstance(path, str) and not _lies_in(path, uploads):
                return False
    return True


def _lies_in(path: str, folder: Path) -> bool:
    try:
        return path.startswith("/") and Path(path).resolve().is_relative_to(folder)
    except (OSError, ValueError):
        return False


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
