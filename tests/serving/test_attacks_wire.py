"""Attacks below and beside the APIs: on connections, on HTTP itself, and by way of browsers."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.serving.hostile import AUTH, KEY, OTHER, Bystander, Web, connected, drip, post, raw, refused
from tests.serving.support import Running, chat
from tests.serving.test_attacks import image

HEAD = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
BODY = json.dumps(chat("smuggled"))


@pytest.fixture(autouse=True)
def others_go_on(bystander: Bystander) -> Iterator[None]:
    """While a case runs, and behind it, another client is served."""
    yield
    bystander.require()


def all_of(running: Running, data: bytes) -> bytes:
    """What the server answers until it closes, or is silent."""
    with connected(running) as sock:
        sock.settimeout(3)
        found = b""
        try:
            sock.sendall(data)
            while block := sock.recv(65_536):
                found += block
        except (TimeoutError, ConnectionError):
            pass
        return found


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def test_a_name_that_changes_its_mind(guarded: Running, web: int) -> None:
    """Public when it is checked, private when it is asked: whoever looks up twice would ask this machine."""
    for number in range(2):
        host = f"host{number}.rebind.test"
        refused(post(guarded, image(f"http://{host}:{web}/x.png")), 400)  # the public address does not answer here
        message = refused(post(guarded, image(f"http://{host}:{web}/x.png")), 400)  # and now the name is a private one
        assert "127.0.0.1" not in message
        assert not any("rebind" in name for name in Web.asked)


@pytest.mark.parametrize("kind", ["text/html", "application/pdf", "audio/wav", "image/svg+xml", "", "image/png;x=y"])
@pytest.mark.parametrize("part", ["image", "video", "audio"])
def test_data_of_another_type(guarded: Running, kind: str, part: str) -> None:
    url = f"data:{kind};base64," + base64.b64encode(b"<svg onload=alert(1)>" * 9).decode()
    body = chat("x")
    body["messages"][0]["content"] = [{"type": f"{part}_url", f"{part}_url": {"url": url}}]
    refused(post(guarded, body), 400)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "identity, gzip"])
def test_packed_bodies_are_not_unpacked(guarded: Running, coding: str) -> None:
    plain = json.dumps(chat("x" * 50_000_000)).encode()
    packed = zlib.compress(plain) if coding == "deflate" else gzip.compress(plain)
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    refused(post(guarded, content=packed, headers=headers), 400, 415)


def test_a_chunk_of_a_gigabyte(guarded: Running) -> None:
    with connected(guarded) as sock:
        sock.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        sock.sendall(b"40000000\r\n")
        sent, block = 0, b"x" * 65_536
        try:
            while sent < 200_000_000:
                sock.sendall(block)
                sent += len(block)
        except ConnectionError:
            pass
        assert sent < 100_000_000


def test_expecting_to_be_asked_for_a_gigabyte(guarded: Running) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n"
    assert statuses(all_of(guarded, head.encode())) == [413]


def test_many_that_drip(guarded: Running) -> None:
    with ExitStack() as stack:
        socks = [stack.enter_context(connected(guarded)) for _ in range(100)]
        for sock in socks:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nX-A")
        assert post(guarded, chat("meanwhile")).json()["choices"][0]["message"]["content"] == "meanwhile"
        assert all(drip(sock, b"a") == b"" for sock in socks)


SMUGGLED = f"GET /v1/models HTTP/1.1\r\n{HEAD}\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        f"Content-Length: {len(SMUGGLED) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
        f"Content-Length: 0, {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
        f"Content-Length: +0\r\n\r\n{SMUGGLED}",
        f"Content-Length: 0x0\r\n\r\n{SMUGGLED}",
        f"Content-Length : 0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: xchunked\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n0\r\n\r\n{SMUGGLED}",
        f"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n\r\n{SMUGGLED}",
    ],
)
def test_requests_within_requests(guarded: Running, lines: str) -> None:
    """One head, of which it is not clear where its body ends: refused, and nothing behind it is taken for a request."""
    found = all_of(guarded, f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}{lines}".encode())
    assert len(statuses(found)) <= 1
    assert all(400 <= status < 500 or status == 501 for status in statuses(found))
    assert b'"list"' not in found


def test_requests_behind_each_other(guarded: Running) -> None:
    body = f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}"
    found = all_of(guarded, (body + SMUGGLED + body).encode())
    assert statuses(found) == [200, 200, 200]
    assert found.index(b"smuggled") < found.index(b'"list"')


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1.1", "http/1.1", "", "HTTPS/1.1"])
def test_other_versions(guarded: Running, version: str) -> None:
    found = all_of(guarded, f"GET /v1/models {version}\r\n{HEAD}\r\n".encode())
    status = found.split(b"\r\n")[0]
    assert not found or b" 200 " in status or b" 400 " in status or b" 505 " in status
    assert b" 200 " not in status or version == "HTTP/1.0"
    nameless = all_of(guarded, f"GET /v1/models {version}\r\n\r\n".encode())
    assert b" 200 " not in nameless.split(b"\r\n")[0]


def test_the_first_words_of_http_2(guarded: Running) -> None:
    assert b" 200 " not in raw(guarded, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").split(b"\r\n")[0]


@pytest.mark.parametrize("path", ["/health", "/v1/chat/completions", "/"])
def test_a_socket_of_another_kind(guarded: Running, path: str) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
    found = all_of(guarded, f"GET {path} HTTP/1.1\r\n{HEAD}{upgrade}\r\n".encode())
    assert statuses(found) in ([200], [404], [405], [400])
    assert statuses(found) == [200] or path != "/health"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PUT", "PATCH", "DELETE", "x", "GET\t", "PROPFIND"])
def test_methods(guarded: Running, method: str) -> None:
    secret = f"{method} /v1/chat/completions HTTP/1.1\r\n{HEAD}X-Secret: do-not-echo\r\n\r\n"
    found = all_of(guarded, secret.encode())
    assert b"do-not-echo" not in found
    assert all(status in (400, 404, 405) for status in statuses(found))


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/v1/models", "//evil.example/v1/models", "/v1//models", "/%2e%2e/%2e%2e/etc/passwd", "*", "",
     "/../../etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd", "/v1/models/%00", "/v1/models/tiny%0d%0aX: y",
     "/" + "a" * 100_000, "/v1/models?" + "a=b&" * 20_000, "/v1/models/%ff%fe", "/V1/MODELS"],
    ids=lambda target: target[:30],
)  # fmt: skip
def test_targets(guarded: Running, target: str) -> None:
    found = all_of(guarded, f"GET {target} HTTP/1.1\r\n{HEAD}\r\n".encode())
    assert b"root:" not in found
    assert b"X: y" not in found
    assert not statuses(found) or 300 <= statuses(found)[0] < 500 or target.endswith("example/v1/models")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}\x1b[31m"},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"Authorization": "Bearer \xff\xfe\xff\xfe\xff"},
        {"Authorization": f"Bearer {KEY} {OTHER}"},
        {"Authorization": f"Bearer  ,{KEY}"},
        {"Authorization": "Bearer alice"},
        {"Authorization": f"Bearer alice={KEY}"},
        {"x-api-key": f"{KEY}\t{OTHER}"},
        {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    ],
    ids=lambda headers: next(iter(headers.values()))[:20],
)
def test_strange_keys(guarded: Running, headers: dict[str, str]) -> None:
    begin = len(guarded.lines)
    found = all_of(
        guarded,
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"
        + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items())
        + b"Connection: close\r\n\r\n",
    )
    assert statuses(found) in ([400], [401])
    assert all(line.isprintable() and KEY not in line for line in guarded.lines[begin:])


def test_a_second_key_does_not_help(guarded: Running) -> None:
    wrong, right = "Authorization: Bearer wrong-key-wrong\r\n", f"Authorization: Bearer {KEY}\r\n"
    for lines in (wrong + right, right + wrong):
        found = all_of(guarded, f"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
        assert statuses(found) in ([401], [400], [200])
        assert statuses(found) != [200] or lines.startswith(right)


@pytest.mark.parametrize(
    "model", ['x\n{"status": 200}', "\x1b[2J\x1b[31mtiny", "tiny\r\nSet-Cookie: a=b", "\u202etiny", "x" * 100_000]
)
def test_names_of_models_reach_no_log_and_no_header(guarded: Running, model: str) -> None:  # fmt: skip
    begin = len(guarded.lines)
    response = post(guarded, {**chat("x"), "model": model})
    refused(response, 404)
    assert "set-cookie" not in response.headers
    assert len(response.text) < 1000
    refused(httpx.get(f"{guarded.url}/v1/models/{httpx.QueryParams({'a': model})}"[:4000], headers=AUTH), 404)
    assert all(line.isprintable() for line in guarded.lines[begin:])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"model": "nobody", "model": "tiny", "messages": [{"role": "user", "content": "x"}]}', 200),
        ('{"model": "tiny", "model": "nobody", "messages": [{"role": "user", "content": "x"}]}', 404),
        (
            '{"max_tokens": 5, "max_tokens": 99999, "model": "tiny", "messages": [{"role": "user", "content": "x"}]}',
            400,
        ),
        ('{"model": "tiny", "max_tokens": 1e400, "messages": [{"role": "user", "content": "x"}]}', 400),
        ('{"model": "tiny", "max_tokens": ' + "9" * 400_000 + ', "messages": [{"role": "user", "content": "x"}]}', 400),
        ('{"model": "tiny", "top_p": -Infinity, "messages": [{"role": "user", "content": "x"}]}', 400),
        ('{"model": "tiny", "seed": 1.5, "messages": [{"role": "user", "content": "x"}]}', 400),
        ('{"model": "tiny", "messages": [{"role": "user", "content": "x"}]} {"n": 2}', 400),
        ('\ufeff{"model": "tiny", "messages": [{"role": "user", "content": "x"}]}', 400),
        ("{" + ", ".join(f'"k{number}": {number}' for number in range(200_000)) + "}", 400),
    ],
    ids=range(10),
)
def test_json_that_is_read_in_two_ways(guarded: Running, text: str, status: int) -> None:
    response = post(guarded, content=text.encode(), headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert len(response.text) < 2000


@pytest.mark.parametrize("coding", ["utf-16", "utf-32", "latin-1"])
def test_json_in_other_codings(guarded: Running, coding: str) -> None:
    body = json.dumps(chat("\xff"), ensure_ascii=False).encode(coding)
    refused(post(guarded, content=body, headers={"Content-Type": f"application/json; charset={coding}"}), 400, 415)


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 2**63},
        {"max_tokens": -(2**70)},
        {"n": -1},
        {"n": 2**31},
        {"top_logprobs": -1, "logprobs": True},
        {"top_logprobs": 2**40, "logprobs": True},
        {"stop": ["x"] * 50_000},
        {"stop": [f"{number}" for number in range(5000)]},
        {"stop_token_ids": [-1]},
        {"stop_token_ids": list(range(5000))},
        {"stop_token_ids": [2**40]},
        {"top_k": 2**62},
        {"min_tokens": 10**9},
        {"seed": 2**64},
        {"repetition_penalty": -1},
        {"logit_bias": {"1": 1e9}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"٣": 1}},
        {"chat_template_kwargs": {"a": {"b": [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]}}},
        {"user": 5},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x", "tool_calls": []}]},
        {"tools": [{"type": "function", "function": {"name": ""}}]},
        {"tools": [{"type": "function", "function": {"name": "x" * 5000}}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_numbers_and_lists_out_of_bounds(guarded: Running, change: dict[str, Any]) -> None:
    message = refused(post(guarded, {**chat("x"), **change}), 400)
    assert len(message) < 1000


BROWSER = {"Origin": "https://evil.example", "Referer": "https://evil.example/x"}


def test_a_page_that_posts_plain_text(server: Running) -> None:
    """No key is asked for on this machine, so what a page may send without asking first must not be answered."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"):
        headers = {**BROWSER, "Content-Type": kind}
        response = httpx.post(f"{server.url}/v1/chat/completions", content=json.dumps(chat("x")), headers=headers)
        refused(response, 415)
        assert "access-control-allow-origin" not in response.headers
    without = httpx.post(f"{server.url}/v1/chat/completions", content=json.dumps(chat("x")), headers=BROWSER)
    refused(without, 415)


def test_a_page_that_asks_first(server: Running) -> None:
    headers = {**BROWSER, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for path in ("/v1/chat/completions", "/health", "/nowhere"):
        response = httpx.options(f"{server.url}{path}", headers=headers)
        assert response.status_code in (404, 405)
        assert not any(name.startswith("access-control") for name in response.headers)


@pytest.mark.parametrize(
    "lines",
    ["Host: localhost@evil.example", "Host: localhost.evil.example", "Host: evil.example:80:localhost",
     "Host: localhost\r\nHost: evil.example", "Host: evil.example\r\nHost: localhost", "Host: localhost, evil.example",
     "Host: [::1].evil.example", "Host: [::1", "Host: 127.1", "Host: 2130706433", "Host: localhost\x00",
     "Host: evil.example\r\nX-Forwarded-Host: localhost", "Host: evil.example#localhost"],
)  # fmt: skip
def test_names_that_are_not_ours(server: Running, lines: str) -> None:
    found = raw(server, f"GET /v1/models HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n".encode())
    assert statuses(found) in ([400], [421], []), found[:200]


def test_connections_that_break_off(guarded: Running) -> None:
    for cut in (10, 60, 200, 400):
        request = f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode()
        for _ in range(20):
            with connected(guarded) as sock:
                sock.sendall(request[:cut])
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed with a reset
