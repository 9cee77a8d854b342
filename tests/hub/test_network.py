from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from swift.errors import HubError
from swift.hub.network import hf_endpoint, is_offline, one_line, require_reachable, unreachable

HOSTLESS = "http://nowhere.invalid"


class Answers(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(int(self.path.strip("/") or 200))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", ["", "401", "404"])
def test_any_answer_of_the_site_counts(site: str, status: str) -> None:
    assert unreachable(f"{site}/{status}") is None


def test_a_gateway_that_answers_for_it_does_not(site: str) -> None:
    assert "HTTP 502" in (unreachable(f"{site}/502") or "")


def test_unknown_host_is_told_quickly() -> None:
    begin = time.monotonic()
    with pytest.raises(HubError) as caught:
        require_reachable("The hub", HOSTLESS, "the model a/b")
    assert time.monotonic() - begin < 6
    assert "the model a/b is not cached and The hub cannot be reached: nowhere.invalid" in caught.value.message
    assert "\n" not in caught.value.message
    assert "local folder" in caught.value.hint


def test_silence_is_not_waited_for() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        begin = time.monotonic()
        reason = unreachable(f"http://127.0.0.1:{deaf.getsockname()[1]}", seconds=0.2)
    assert reason is not None
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("TRUE", True), ("on", True), ("0", False), ("", False)])
def test_the_user_can_forbid_the_network(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("SWIFT_OFFLINE", value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert is_offline() is offline
    assert ("SWIFT_OFFLINE" in (unreachable(HOSTLESS) or "")) is offline


def test_a_mirror_is_asked_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.invalid/")
    assert hf_endpoint() == "https://mirror.invalid"


def test_errors_become_one_short_line() -> None:
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line("x" * 1000)) == 200
