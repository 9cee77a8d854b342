"""Media from the web: one GET that asks only hosts that may be asked, within one time limit and one size.

The address that was checked is the one that is connected to, so that a name cannot change its mind in between.
Proxies, cookies and stored passwords of the environment are not used.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from swift.config.media import MediaConfig
from swift.media.addresses import Address, addresses, host_name, is_allowed, is_named, is_public
from swift.media.failing import failure, one_line
from swift.media.local import require_size
from swift.media.reasons import BAD_SOURCE, REFUSED_HOST, TOO_LARGE, UNREACHABLE

REDIRECTS = 5
"""How often an address may send us on to another one."""

_BLOCK = 1 << 16
_MOVED = (301, 302, 303, 307, 308)
_KEPT = "%/:=&?~+!$,;'@()*[]|"


@dataclass(frozen=True, slots=True)
class _Target:
    """A checked address. `host` is what the user may name, `netloc` the Host header, `path` the path and query."""

    url: str
    secure: bool
    host: str
    port: int
    netloc: str
    path: str


def fetch(url: str, config: MediaConfig) -> bytes:
    """The bytes behind an http(s) address.

    Args:
        url: The address.
        config: `hosts`, `max_megabytes` and `timeout`, which bounds everything together.

    Raises:
        RowError: The host may not be asked, does not answer in time or with contents, or sends too many bytes.
    """
    deadline = time.monotonic() + config.timeout
    at = url
    try:
        for _ in range(REDIRECTS + 1):
            target = _target(at, url)
            with _answer(target, _checked(target, url, config, deadline), deadline) as answer:
                if answer.status not in _MOVED:
                    return _contents(answer, url, config)
                at = urllib.parse.urljoin(at, answer.getheader("Location") or "")
    except TimeoutError as error:
        raise failure(UNREACHABLE, url, f"took longer than media.timeout, {config.timeout:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise failure(UNREACHABLE, url, f"cannot be fetched: {one_line(error)}") from error
    raise failure(UNREACHABLE, url, f"sent on more than {REDIRECTS} times")


def _target(at: str, url: str) -> _Target:
    """Take an address apart; `url` is the one that the row names."""
    try:
        parts = urllib.parse.urlsplit(at)
        host, port = host_name(parts.hostname or ""), parts.port
    except ValueError as error:
        raise failure(BAD_SOURCE, url, f"not an address: {one_line(error)}") from error
    if parts.scheme not in ("http", "https"):
        raise failure(BAD_SOURCE, url, f"sent on to {parts.scheme[:20]}:, which is not fetched")
    if not host or not host.isprintable() or " " in host:
        raise failure(BAD_SOURCE, url, "an address without a host")
    if "@" in parts.netloc:
        raise failure(BAD_SOURCE, url, "an address with a user name or password is not fetched")
    bracketed = f"[{host}]" if ":" in host else host
    path = urllib.parse.quote(parts.path or "/", safe=_KEPT)
    query = f"?{urllib.parse.quote(parts.query, safe=_KEPT)}" if parts.query else ""
    secure = parts.scheme == "https"
    return _Target(
        url=at,
        secure=secure,
        host=host,
        port=port or (443 if secure else 80),
        netloc=f"{bracketed}:{port}" if port else bracketed,
        path=f"{path}{query}",
    )


def _checked(target: _Target, url: str, config: MediaConfig, deadline: float) -> list[Address]:
    """Addresses of a host that may be asked."""
    host = target.host
    if not is_allowed(host, config.hosts):
        raise failure(REFUSED_HOST, url, f"{host} is not among media.hosts")
    found = addresses(host, _left(deadline))
    if not is_named(host, config.hosts):
        for address in found:
            if not is_public(address):
                what = (
                    "a private or local address" if str(address) == host else f"{address}, a private or local address"
                )
                raise failure(REFUSED_HOST, url, f"{host} is {what}; name it in media.hosts to allow it")
    return found


@contextmanager
def _answer(target: _Target, found: list[Address], deadline: float) -> Iterator[http.client.HTTPResponse]:
    """Ask, and read the head of the answer."""
    with _connected(target, found, deadline) as sock:
        request = (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nUser-Agent: swift-finetune\r\n"
            "Accept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
        )
        sock.settimeout(_left(deadline))
        sock.sendall(request.encode("ascii"))
        # It wants a socket only to make a file of it.
        answer = http.client.HTTPResponse(cast(socket.socket, _Readable(sock, deadline)), method="GET")
        try:
            answer.begin()
            yield answer
        finally:
            answer.close()


def _connected(target: _Target, found: list[Address], deadline: float) -> socket.socket:
    """A connection to the first of the addresses that takes one."""
    refused: OSError = OSError("it has no address")
    for number, address in enumerate(found):
        try:
            # One address that swallows everything leaves time for the next.
            patience = _left(deadline) / (len(found) - number)
            plain = socket.create_connection((str(address), target.port), timeout=patience)
        except OSError as error:
            refused = error
            continue
        if not target.secure:
            return plain
        try:
            plain.settimeout(_left(deadline))
            # The name, not the number, is what the certificate is for.
            return _certificates().wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
    raise refused


def _contents(answer: http.client.HTTPResponse, url: str, config: MediaConfig) -> bytes:
    """Read an answer to its end. What it says about its length is checked, not believed."""
    if answer.status != 200:
        raise failure(UNREACHABLE, url, f"HTTP {answer.status} {one_line(answer.reason, 60)}")
    coding = answer.getheader("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise failure(UNREACHABLE, url, f"answers with {coding[:20]} though it was asked not to")
    promised = answer.length
    most = config.max_megabytes * 1_000_000
    if promised is not None and promised > most:
        require_size(promised, url, config)
    received = io.BytesIO()
    while block := answer.read(_BLOCK):
        received.write(block)
        if received.tell() > most:
            raise failure(TOO_LARGE, url, f"more than {config.max_megabytes} MB; see media.max_megabytes")
    if promised is not None and received.tell() < promised:
        raise failure(UNREACHABLE, url, f"ended after {received.tell():,} of {promised:,} bytes")
    require_size(received.tell(), url, config)
    return received.getvalue()


class _Readable(io.RawIOBase):
    """What a socket receives. Every wait is for what is left of one deadline, so that dripping does not help."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        """What `http.client` reads from; `mode` is "rb"."""
        return io.BufferedReader(self, _BLOCK)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive into `buffer`. Raises TimeoutError behind the deadline."""
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)


@functools.cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
