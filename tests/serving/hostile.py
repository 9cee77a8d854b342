"""What tests of attacks share: raw sockets, a web server that misleads, and somebody who is served meanwhile."""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
from typing import Any, ClassVar

import httpx

from tests.serving.support import Running, chat, until

KEY, OTHER = "a-key-of-alice", "a-key-of-bob-1"
AUTH = {"Authorization": f"Bearer {KEY}"}
LEAKS = re.compile(r"Traceback|File \"|/work/|/tmp/|/etc/|site-packages|swift\.serving")


class Web(http.server.BaseHTTPRequestHandler):
    """A web server that sends on to a private address, and notes whom it was taken for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Host", ""))
        self.send_response(302)
        self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


class Bystander:
    """A client that reads one stream after another, and checks every word.

    Args:
        running: The server.
    """

    TEXT = " ".join(f"word{number}" for number in range(30))

    def __init__(self, running: Running) -> None:
        self._running = running
        self._whole = 0
        self._wrong: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_on, daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Make sure that all went well so far, and that one more stream does that begins now."""
        whole = self._whole
        until(lambda: self._wrong or self._whole >= whole + 2, seconds=60)
        assert not self._wrong

    def end(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(60)

    def _read_on(self) -> None:
        body = chat(f"[pause 0.003]{self.TEXT}", stream=True)
        while not self._stop.is_set() and not self._wrong:
            words, last = "", ""
            try:
                with httpx.stream(
                    "POST", f"{self._running.url}/v1/chat/completions", json=body, headers=AUTH, timeout=30
                ) as response:
                    for line in response.iter_lines():
                        last = line or last
                        if line.startswith("data: {"):
                            words += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            except (httpx.HTTPError, KeyError) as error:
                words = f"{type(error).__name__}: {error}"
            if words == self.TEXT and last == "data: [DONE]":
                self._whole += 1
            else:
                self._wrong.append(words)


def post(running: Running, body: Any = None, *, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
    headers = {**AUTH, **options.pop("headers", {})}
    if body is not None:
        options["json"] = body
    return httpx.post(f"{running.url}{path}", headers=headers, timeout=20, **options)


def refused(response: httpx.Response, *statuses: int) -> str:
    """The message of an error, which must be in the right form and tell nothing of us."""
    assert response.status_code in statuses, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert not LEAKS.search(response.text), response.text
    return str(error["message"])


def connected(running: Running) -> socket.socket:
    url = httpx.URL(running.url)
    return socket.create_connection((url.host, url.port), timeout=15)


def raw(running: Running, data: bytes) -> bytes:
    """What the server answers to bytes."""
    with connected(running) as sock:
        try:
            sock.sendall(data)
            return sock.recv(65_536)
        except (ConnectionError, BrokenPipeError):
            return b""


def drip(sock: socket.socket, data: bytes) -> bytes:
    """Send a little again and again, until the server answers or closes."""
    sock.settimeout(0.2)
    for _ in range(60):
        try:
            sock.sendall(data)
            return sock.recv(65_536)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
    raise AssertionError("the server has waited for 12 s")
