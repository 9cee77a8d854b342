"""TLS, CORS and the bound on connections."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.serving.support import chat, serving, until


def test_tls_and_cors(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *words.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    origin = "https://app.example.org"
    config = {"server": {"ssl_certfile": str(certificate), "ssl_keyfile": str(key), "cors_origins": [origin]}}
    with serving(config) as running:
        assert running.url.startswith("https://")
        with running.client(verify=ssl.create_default_context(cafile=str(certificate))) as client:
            asked = client.post("/v1/chat/completions", json=chat("x"), headers={"Origin": origin})
            assert asked.headers["access-control-allow-origin"] == origin
            other = client.post("/v1/chat/completions", json=chat("x"), headers={"Origin": "https://evil.example"})
            assert "access-control-allow-origin" not in other.headers
            method = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
            assert client.options("/v1/models", headers={"Origin": origin, **method}).status_code == 200
            assert client.options("/v1/models", headers={"Origin": "https://x.org", **method}).status_code == 400
        with pytest.raises(httpx.ConnectError), running.client() as strict:
            strict.get("/health")


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("nothing")
    config = {"server": {"ssl_certfile": str(tmp_path / "c.pem"), "ssl_keyfile": str(tmp_path / "c.pem")}}
    with pytest.raises(AssertionError), serving(config) as running:
        raise RuntimeError(running.lines)


def test_connections_are_bounded() -> None:
    with serving({"limits": {"connections": 20, "head_seconds": 2}}) as running:
        url = httpx.URL(running.url)
        held = [socket.create_connection((url.host, url.port), timeout=10) for _ in range(60)]

        def closed() -> int:
            return sum(is_closed(sock) for sock in held)

        until(lambda: closed() >= 40, seconds=10)
        until(lambda: closed() == 60, seconds=10)  # nothing was said for too long
        assert httpx.get(f"{running.url}/health").status_code == 200
        for sock in held:
            sock.close()


def is_closed(sock: socket.socket) -> bool:
    """Whether the server has closed a connection."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
