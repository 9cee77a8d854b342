"""What stands in front of the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from swift.app.gate import Gate
from swift.serving.keys import read_keys

AUTH = ("alice", "open sesame".replace(" ", "-"))
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


def gate(*, hosts: frozenset[str] | None = LOCAL, keys: tuple[str, ...] = (), room: int = 10**9) -> Gate:
    return Gate(
        inside,
        hosts=hosts,
        keys=read_keys(keys, flag="--auth"),
        uploads=Path("/nowhere/uploads"),
        upload=1_000_000,
        all_uploads=room,
    )


def ask(app: Gate, path: str = "/", *, method: str = "GET", url: str = "http://127.0.0.1:7860", **more: Any) -> Any:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=url) as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


@pytest.mark.parametrize("url", ["http://127.0.0.1:7860", "http://localhost:1", "http://[::1]:7860"])
def test_the_page_is_given_with_a_policy(url: str) -> None:
    answer = ask(gate(), url=url)
    assert (answer.status_code, answer.text) == (200, "/ 0")
    policy = answer.headers["content-security-policy"]
    assert "http" not in policy
    assert "default-src 'self'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.org", "evil.org:7860", "127.0.0.1.evil.org", "localhost.", ""])
def test_other_names_of_this_machine_are_refused(host: str) -> None:
    if host:
        assert ask(gate(), headers={"host": host}).status_code == 421


def test_with_passwords_any_name_will_do() -> None:
    app = gate(hosts=None, keys=(f"{AUTH[0]}={AUTH[1]}",))
    assert ask(app, url="http://machine.example.org", auth=AUTH).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.org", "null", "http://127.0.0.1:7861", "http://localhost:7860"])
def test_other_pages_are_refused(origin: str) -> None:
    answer = ask(gate(), "/gradio_api/queue/join", method="POST", headers={"origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:7860", "https://127.0.0.1:7860"])
def test_the_page_itself_is_not(origin: str) -> None:
    assert ask(gate(), "/gradio_api/queue/join", method="POST", headers={"origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/docs", "/openapi.json", "/login", "/logout", "/monitoring", "/gradio_api/info", "/gradio_api/run/predict",
        "/gradio_api/call/send", "/gradio_api/proxy=http://evil.org", "/gradio_api/process_recording", "/runs",
        "/gradio_api/mcp/", "/gradio_api/vibe-code", "/gradio_api/file/x", "/config/", "/gradio_api/token",
        "/gradio_api/deep_link", "/gradio_api/heartbeat/a/b", "/gradio_api/stream/a/b/1/playlist.m3u8",
    ],
)  # fmt: skip
def test_routes_that_the_page_does_not_need_do_not_exist(path: str) -> None:
    assert ask(gate(), path).status_code == 404
    assert ask(gate(), path, method="POST").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_do_not_exist(method: str) -> None:
    assert ask(gate(), method=method).status_code == 404


@pytest.mark.parametrize("path", ["/", "/config", "/assets/x.js", "/gradio_api/cancel", "/gradio_api/heartbeat/abc"])
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!",
        "Basic YWxpY2U=",  # alice, without a password
        "Basic YWxpY2U6d3JvbmctcGFzc3dvcmQ=",
        "Basic Ym9iOm9wZW4tc2VzYW1l",  # bob, with alice's password
        "Basic //79",
        "Bearer open-sesame",
    ],
)
def test_every_route_asks_for_the_password(path: str, header: str | None) -> None:
    app = gate(keys=(f"{AUTH[0]}={AUTH[1]}", "bob=another-password"))
    headers = {} if header is None else {"authorization": header}
    answer = ask(app, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert ask(app, path, auth=AUTH).status_code == 200


def test_two_may_have_the_same_password() -> None:
    app = gate(keys=("alice=the-same-one", "bob=the-same-one"))
    for name in ("alice", "bob"):
        assert ask(app, auth=(name, "the-same-one")).status_code == 200


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 100_000


@pytest.mark.parametrize(("path", "most"), [("/gradio_api/upload", 11), ("/gradio_api/queue/join", 40)])
def test_bodies_end_where_they_must(path: str, most: int) -> None:
    assert ask(gate(), path, method="POST", content=b"x" * most * 100_000).text == f"{path} {most * 100_000}"
    assert ask(gate(), path, method="POST", content=b"x" * (most + 1) * 100_000).status_code == 413
    assert ask(gate(), path, method="POST", content=pieces(most)).status_code == 200
    answer = ask(gate(), path, method="POST", content=pieces(most + 1))
    assert (answer.status_code, answer.text.count("\n")) == (413, 0)


def test_uploads_end_where_there_is_no_room() -> None:
    answer = ask(gate(room=500), "/gradio_api/upload", method="POST", content=b"x" * 501)
    assert (answer.status_code, answer.text) == (
        413,
        "there is no room for more files: clear a chat, or close its page",
    )
    assert ask(gate(room=0), "/gradio_api/upload", method="POST", content=b"x").status_code == 413
    assert ask(gate(room=0), "/").status_code == 200


FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/nowhere/server.json",
        "/nowhere/uploads/../server.json",
        "/nowhere/uploads-of-others/a.png",
        "http://example.org/a.png",
        "file:///etc/passwd",
        "../server.json",
        "a.png",
        "",
        "/nowhere/uploads/\0",
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_events_name_uploaded_files_only(path: str, deep: bool) -> None:
    file: Any = {"path": path, **FILE}
    data = [{"text": "x", "files": [{"x": [file]}]}] if deep else [file]
    body = orjson.dumps({"data": data, "fn_index": 0})
    assert ask(gate(), "/gradio_api/queue/join", method="POST", content=body).status_code == 403


def test_uploaded_files_may_be_named() -> None:
    files = [{"path": "/nowhere/uploads/ab/a.png", "url": "http://127.0.0.1:7860/gradio_api/file=/x", **FILE}]
    body = orjson.dumps({"data": [{"text": '{"path": "/etc/passwd"}', "files": files}, None, "path", {"path": 3}]})
    answer = ask(gate(), "/gradio_api/queue/join", method="POST", content=body)
    assert answer.text == f"/gradio_api/queue/join {len(body)}"


def test_guessing_is_slow_for_whoever_guesses() -> None:
    app = gate(keys=(f"{AUTH[0]}={AUTH[1]}",))
    wrong = [ask(app, auth=("alice", f"guess-{number}")) for number in range(12)]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 2
    assert 1 <= int(wrong[-1].headers["retry-after"]) <= 6
    assert ask(app, auth=AUTH).status_code == 429  # so that it is not told which guess was right
    assert ask(app).status_code == 401
    other = httpx.ASGITransport(app=app, client=("192.0.2.7", 1))

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=other, base_url="http://127.0.0.1:7860") as client:
            return await client.get("/", auth=AUTH)

    assert asyncio.run(run()).status_code == 200


def test_who_knows_the_password_is_never_slowed_down() -> None:
    app = gate(keys=(f"{AUTH[0]}={AUTH[1]}",))
    assert {ask(app, auth=AUTH).status_code for _ in range(30)} == {200}
    assert {ask(app).status_code for _ in range(30)} == {401}
