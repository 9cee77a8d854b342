from __future__ import annotations

import functools
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import fetch as fetching
from swift.media import load_image
from swift.media.fetch import fetch
from swift.types import Media
from tests.media.support import encoded, picture, send, site

PNG = encoded(picture())
LOCAL = MediaConfig(hosts=("127.0.0.1",), timeout=5, max_megabytes=1)
heard: list[dict[str, str]] = []


def moved(to: str, status: int = 302) -> object:
    return lambda handler: send(handler, b"", status, Location=to)


def _listen(handler: BaseHTTPRequestHandler) -> None:
    heard.append({name.lower(): value for name, value in handler.headers.items()} | {"path": handler.path})
    send(handler, PNG)


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    for _ in range(200):
        handler.wfile.write(b"x")
        time.sleep(0.02)


def _drip_head(handler: BaseHTTPRequestHandler) -> None:
    for letter in "HTTP/1.1 200 OK\r\n" + "X-Header: x\r\n" * 50:
        handler.wfile.write(letter.encode())
        time.sleep(0.02)


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
    while True:
        handler.wfile.write(b"x" * 65536)


def _chunks(data: bytes, end: bytes = b"0\r\n\r\n") -> object:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n" + end)

    return answer


@pytest.fixture(scope="module")
def here() -> Iterator[str]:
    answers = {
        "/a.png": lambda handler: send(handler, PNG),
        "/listen.png": _listen,
        "/a%20b/%C3%BC.png": lambda handler: send(handler, PNG),
        "/once": moved("/a.png"),
        "/relative/once": moved("../a.png", 307),
        "/circle": moved("/circle"),
        "/nowhere": moved(""),
        "/private": moved("http://127.0.0.2:9/a.png"),
        "/metadata": moved("http://169.254.169.254/latest/meta-data/"),
        "/mapped": moved("http://[::ffff:127.0.0.1]:9/"),
        "/file": moved("file:///etc/passwd"),
        "/password": moved("http://user:secret@127.0.0.1/a.png"),
        "/drip": _drip,
        "/drip_head": _drip_head,
        "/endless": _endless,
        "/says_more": lambda handler: send(handler, PNG, length=len(PNG) + 10),
        "/says_less": lambda handler: send(handler, PNG, length=len(PNG) - 40),
        "/says_huge": lambda handler: send(handler, PNG, length=10**12),
        "/says_nonsense": lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc"),
        "/chunked.png": _chunks(PNG),
        "/chunked_cut": _chunks(PNG, b"ffff\r\nabc"),
        "/chunked_huge": _chunks(b"x" * 2_000_000),
        "/rubbish": lambda handler: handler.wfile.write(b"SSH-2.0-nothing\r\n"),
        "/hangs_up": lambda handler: None,
        "/empty": lambda handler: send(handler, b""),
        "/gzip": lambda handler: send(handler, PNG, Content_Encoding="gzip"),
        "/error": lambda handler: send(handler, b"out of order", 503),
        "/html": lambda handler: send(handler, b"<!DOCTYPE html><html>gone</html>"),
    }
    with site(answers) as address:  # type: ignore[arg-type]
        yield address


def refusal(url: str, config: MediaConfig = LOCAL) -> RowError:
    with pytest.raises(RowError) as caught:
        load_image(Media("image", url), config)
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 400
    return caught.value


@pytest.mark.parametrize("path", ["a.png", "once", "relative/once", "chunked.png", "a b/ü.png", "a%20b/%C3%BC.png"])
def test_pictures_from_the_web(here: str, path: str) -> None:
    assert load_image(Media("image", f"{here}/{path}"), LOCAL).size == (40, 30)


def test_what_is_said_to_the_host(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    heard.clear()
    assert fetch(f"{here}/listen.png?q=a b&x=%20#fragment", LOCAL) == PNG
    assert heard[0]["host"] == here.removeprefix("http://")
    assert heard[0]["path"] == "/listen.png?q=a%20b&x=%20"
    assert not {"cookie", "authorization", "referer"} & set(heard[0])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "media_unreachable"),
        ("error", "media_unreachable"),
        ("circle", "media_unreachable"),
        ("nowhere", "media_unreachable"),
        ("private", "media_refused_host"),
        ("metadata", "media_refused_host"),
        ("mapped", "media_refused_host"),
        ("file", "media_bad_source"),
        ("password", "media_bad_source"),
        ("endless", "media_too_large"),
        ("says_more", "media_unreachable"),
        ("says_less", "media_unreadable"),
        ("says_huge", "media_too_large"),
        ("chunked_cut", "media_unreachable"),
        ("chunked_huge", "media_too_large"),
        ("rubbish", "media_unreachable"),
        ("hangs_up", "media_unreachable"),
        ("empty", "media_unreadable"),
        ("gzip", "media_unreachable"),
        ("html", "media_unreadable"),
        ("says_nonsense", "media_unreadable"),
    ],
)
def test_bad_answers(here: str, path: str, reason: str) -> None:
    config = LOCAL.model_copy(update={"hosts": ("127.0.0.1", "*")}) if reason == "media_refused_host" else LOCAL
    assert refusal(f"{here}/{path}", config).reason == reason


@pytest.mark.parametrize("path", ["drip", "drip_head"])
def test_a_host_that_drips_does_not_outlast_the_time_limit(here: str, path: str) -> None:
    begin = time.monotonic()
    error = refusal(f"{here}/{path}", LOCAL.model_copy(update={"timeout": 0.3}))
    assert time.monotonic() - begin < 3
    assert error.reason == "media_unreachable"
    assert "media.timeout" in error.detail


def test_a_host_that_is_silent() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        for scheme in ("http", "https"):
            url = f"{scheme}://127.0.0.1:{deaf.getsockname()[1]}/"
            assert refusal(url, LOCAL.model_copy(update={"timeout": 0.2})).reason == "media_unreachable"


def test_no_connection() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert refusal(f"http://127.0.0.1:{closed.getsockname()[1]}/").reason == "media_unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:80/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "https://[::1]/",
        "http://[::]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
        "http://224.0.0.1/",
    ],
)
def test_private_addresses_are_not_asked(url: str) -> None:
    assert refusal(url, MediaConfig()).reason == "media_refused_host"
    assert refusal(url, MediaConfig(hosts=("*",))).reason == "media_refused_host"


def test_a_host_that_is_not_named() -> None:
    error = refusal("https://images.example.com/a.png", MediaConfig(hosts=("*.example.org",)))
    assert error.reason == "media_refused_host"
    assert "images.example.com is not among media.hosts" in error.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///a.png",
        "http://[::1",
        "http://a:b/",
        "http://a:99999/",
        "http://user:password@example.org/",
        "http://exa mple.org/",
        "http://127.0.0.1\\@example.org/",
        f"http://{'ü' * 70}.org/",
    ],
)
def test_broken_addresses(url: str) -> None:
    error = refusal(url, MediaConfig(hosts=("*",)))
    assert error.reason == "media_bad_source"
    assert "password@" not in error.detail


def test_an_unknown_host_is_told() -> None:
    assert refusal("http://nowhere.invalid/").reason == "media_refused_host"
    assert refusal("http://nowhere.invalid/", MediaConfig(timeout=5)).reason == "media_unreachable"


def test_the_checked_address_is_the_one_that_is_asked(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked up first, and private the second time."""
    port = int(here.rpartition(":")[2])
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        number = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 0))]

    tried: list[object] = []

    def connect(address: object, **_: object) -> socket.socket:
        tried.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert refusal(f"http://rebinding.example.org:{port}/a.png", MediaConfig()).reason == "media_unreachable"
    assert tried == [("93.184.216.34", port)]


def test_one_private_address_among_several_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 0)) for number in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert refusal("http://both.example.org/", MediaConfig()).reason == "media_refused_host"


def test_a_name_that_takes_long_to_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [waiting.wait(5)] * 0)
    assert refusal("http://slow.example.org/", MediaConfig(timeout=0.1)).reason == "media_unreachable"
    waiting.set()


def test_secrets_of_an_address_are_not_told() -> None:
    error = refusal("http://nowhere.invalid/a.png?signature=s3cret", MediaConfig(timeout=5))
    assert "s3cret" not in error.detail


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for pictures.example.org, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    path = tmp_path / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test".split()
    words += ["-addext", "subjectAltName=DNS:pictures.example.org", "-keyout", f"{path}.key", "-out", str(path)]
    subprocess.run([program, *words], check=True, capture_output=True)
    return path


def test_a_secure_host_is_asked_by_its_name(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the address that was checked, with the name in the handshake, the certificate and the request."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, f"{certificate}.key")
    context.sni_callback = lambda _, name, __: names.append(name)
    look_up = socket.getaddrinfo

    def here(host: str, *given: object, **named: object) -> object:
        return look_up("127.0.0.1" if host.endswith(".example.org") else host, *given, **named)  # type: ignore[arg-type]

    with site({"/listen.png": _listen}, context) as address:
        port = address.rpartition(":")[2]
        monkeypatch.setattr(socket, "getaddrinfo", here)
        config = MediaConfig(hosts=("pictures.example.org", "other.example.org"), timeout=5)
        assert "certificate" in refusal(f"https://pictures.example.org:{port}/listen.png", config).detail
        trusting = functools.partial(ssl.create_default_context, cafile=str(certificate))
        monkeypatch.setattr(fetching, "_certificates", trusting)
        heard.clear()
        assert fetch(f"https://pictures.example.org:{port}/listen.png", config) == PNG
        assert heard[0]["host"] == f"pictures.example.org:{port}"
        assert "certificate" in refusal(f"https://other.example.org:{port}/listen.png", config).detail
    assert names == ["pictures.example.org", "pictures.example.org", "other.example.org"]
