"""Bounds, clients that leave, an engine that dies, and an orderly end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.serving.support import Running, chat, launched, serving, until

SLOW = "[pause 0.05]" + "word " * 400


def stream(running: Running, text: str, lines: list[str]) -> Callable[[], None]:
    """Start reading a stream in a thread; returns a function that waits for its end."""

    def read() -> None:
        with (
            running.client() as client,
            client.stream("POST", "/v1/chat/completions", json=chat(text, stream=True)) as response,
        ):
            lines.append(str(response.status_code))
            lines.extend(line for line in response.iter_lines() if line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return lambda: thread.join(60)


def ask(running: Running, text: str, **options: Any) -> httpx.Response:
    with running.client() as client:
        return client.post("/v1/chat/completions", json=chat(text, **options))


def active(running: Running) -> int:
    """Answers that the engine works on."""
    return int(ask(running, "[running]").json()["choices"][0]["message"]["content"])


def said(lines: list[str]) -> str:
    """The words of a stream."""
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk.get("choices", ()))


def metric(running: Running, name: str) -> float:
    with running.client() as client:
        text = client.get("/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_more_than_the_bound_are_turned_away() -> None:
    with serving({"limits": {"max_running": 2, "max_waiting": 1}}) as running:
        lines: list[list[str]] = [[], [], []]
        waits = [stream(running, "[pause 0.02]" + "word " * 60, lines[place]) for place in range(2)]
        until(lambda: metric(running, "swift_running") == 2)
        waits.append(stream(running, "third", lines[2]))
        until(lambda: metric(running, "swift_waiting") == 1)
        refused = ask(running, "fourth")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "server_busy"
        for wait in waits:
            wait()
        assert [said(found).split()[-1] for found in lines] == ["word", "word", "third"]
        assert metric(running, "swift_running") == 0


def test_a_client_that_leaves_is_forgotten() -> None:
    with serving({"limits": {"max_running": 2, "max_waiting": 8}}) as running:
        with (
            running.client() as client,
            client.stream("POST", "/v1/chat/completions", json=chat(SLOW, stream=True)) as response,
        ):
            lines = response.iter_lines()  # kept: httpx closes the connection with its last reader
            next(lines)
            assert active(running) == 1
        until(lambda: active(running) == 0, seconds=10)
        for streaming in (True, False):  # before the first word, and where the whole is waited for
            with running.client() as client, pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=chat("[pause 5]x", stream=streaming), timeout=0.5)
        until(lambda: metric(running, "swift_running") == 0, seconds=10)
        assert metric(running, "swift_cancelled_requests_total") == 3


def test_a_client_that_leaves_while_it_waits_is_forgotten() -> None:
    with serving({"limits": {"max_running": 1, "max_waiting": 8}}) as running:
        lines: list[str] = []
        wait = stream(running, "[pause 0.02]" + "word " * 100, lines)
        until(lambda: metric(running, "swift_running") == 1)
        with running.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/chat/completions", json=chat("never asked"), timeout=0.3)
        until(lambda: metric(running, "swift_waiting") == 0, seconds=10)
        wait()
        assert said(lines).count("word") == 100


def test_an_engine_that_is_killed_is_started_again() -> None:
    with serving() as running:
        lines: list[str] = []
        wait = stream(running, SLOW, lines)
        until(lambda: len(lines) > 5)
        begin = len(running.lines)
        os.kill(running.host_pid(), signal.SIGKILL)
        wait()
        assert "engine stopped" in json.loads(lines[-1][6:])["error"]["message"]
        response = ask(running, "anyone?")
        assert response.status_code == 503
        assert "retry-after" in response.headers
        with running.client() as client:
            assert client.get("/ready").status_code == 503
            assert client.get("/health").status_code == 200
        running.wait_for("^serving at", begin)
        assert ask(running, "again").json()["choices"][0]["message"]["content"] == "again"
        assert metric(running, "swift_engine_restarts_total") == 1


def test_an_engine_that_kills_itself_takes_nobody_with_it() -> None:
    with serving() as running:
        begin = len(running.lines)
        assert ask(running, "[crash]").status_code == 503
        running.wait_for("^serving at", begin)
        assert ask(running, "again").status_code == 200


def test_the_end_waits_for_what_runs() -> None:
    with serving({"server": {"drain_seconds": 20}}) as running:
        lines: list[str] = []
        wait = stream(running, "[pause 0.02]" + "word " * 60, lines)
        until(lambda: len(lines) > 3)
        host = running.host_pid()
        running.process.terminate()
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            ask(running, "too late")
        wait()
        assert said(lines).count("word") == 60
        assert lines[-1] == "data: [DONE]"
        assert running.process.wait(20) == 0
        until(lambda: not os.path.exists(f"/proc/{host}"), seconds=10)


def test_the_end_does_not_wait_for_ever() -> None:
    with serving({"server": {"drain_seconds": 1}, "limits": {"max_running": 1}}) as running:
        lines: list[list[str]] = [[], []]
        waits = [stream(running, SLOW, lines[0])]
        until(lambda: len(lines[0]) > 3)
        waits.append(stream(running, SLOW, lines[1]))
        until(lambda: metric(running, "swift_waiting") == 1)
        begin = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - begin < 10
        for wait in waits:
            wait()
        assert "error" in json.loads(lines[0][-1][6:])
        assert lines[1][0] == "503"


def test_a_request_that_takes_too_long() -> None:
    with serving({"limits": {"request_seconds": 0.5, "max_running": 1}}) as running:
        response = ask(running, SLOW)
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
        lines: list[str] = []
        stream(running, SLOW, lines)()
        assert json.loads(lines[-1][6:])["error"]["code"] == "timeout"
        assert active(running) == 0


def test_large_bodies_are_held_within_a_bound() -> None:
    config = {"limits": {"body_megabytes": 1, "max_running": 1}, "server": {"drain_seconds": 0}}
    with serving(config) as running:
        waits = [stream(running, "[pause 0.3]" + "word " * 20 + "[" * 900_000, []) for _ in range(20)]
        until(lambda: any(line["status"] == 503 for line in running.log()), seconds=30)
        assert running.end() == 0
        for wait in waits:
            wait()


def test_rates_of_keys() -> None:
    keys = ["alice=alice-has-this", "bob=bob-has-another"]
    with serving({"server": {"api_keys": keys}, "limits": {"requests_per_minute": 3}}) as running:
        with running.client(headers={"x-api-key": "alice-has-this"}) as alice:
            codes = [alice.get("/v1/models").status_code for _ in range(5)]
            assert codes == [200, 200, 200, 429, 429]
            assert int(alice.get("/v1/models").headers["retry-after"]) > 10
        with running.client(headers={"x-api-key": "bob-has-another"}) as bob:
            assert bob.get("/v1/models").status_code == 200


def test_rates_that_are_a_keys_own() -> None:
    keys = ["alice=alice-has-this requests=2", "bob=bob-has-another requests=100 tokens=20"]
    with serving({"server": {"api_keys": keys}, "limits": {"requests_per_minute": 5}}) as running:
        with running.client(headers={"x-api-key": "alice-has-this"}) as alice:
            assert [alice.get("/v1/models").status_code for _ in range(3)] == [200, 200, 429]
        with running.client(headers={"x-api-key": "bob-has-another"}) as bob:
            assert {bob.get("/v1/models").status_code for _ in range(9)} == {200}
            body = chat("a few words for a bucket that is small")
            codes = [bob.post("/v1/chat/completions", json=body).status_code for _ in range(2)]
            assert codes == [200, 429]


def test_rates_of_tokens() -> None:
    with serving({"limits": {"tokens_per_minute": 20}}) as running:
        assert ask(running, "a few words for a bucket that is small").status_code == 200
        assert ask(running, "more").json()["error"]["code"] == "rate_limit_exceeded"


def test_requests_are_kept_where_that_is_asked_for(tmp_path: Any) -> None:
    path = tmp_path / "requests.jsonl"
    with serving({"server": {"request_log": str(path)}}) as running:
        ask(running, "keep me\n")
        lines: list[str] = []
        stream(running, "and me", lines)()
        assert running.end() == 0
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [item["answer"]["choices"][0]["message"]["content"] for item in kept] == ["keep me", "and me"]
    assert kept[0]["body"]["messages"][0]["content"] == "keep me\n"
    assert path.stat().st_mode & 0o077 == 0


def test_the_access_log_tells_of_each_request() -> None:
    with serving() as running:
        ask(running, "hello")
        running.wait_for('"status": 200')
        line = running.log()[-1]
        assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/chat/completions", 200)
        assert line["completion_tokens"] > 0
        assert "hello" not in json.dumps(line)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"server": {"host": "0.0.0.0"}}, "no key is asked for"),
        ({"server": {"api_keys": ["short=abc"]}}, "shorter than 8"),
        ({"server": {"api_keys": ["nothing"]}}, "neither a file nor NAME=KEY"),
        ({"server": {"api_keys": ["ann=long-enough requests=0"]}}, "no rate"),
        ({"server": {"api_keys": ["ann=long-enough speed=5"]}}, "no rate"),
        ({"server": {"admin_keys": ["ann=long-enough"]}}, "nothing is there for them"),
        ({"server": {"ssl_certfile": "x.pem"}}, "go together"),
        ({"server": {"cors_origins": ["*"]}}, "no origin"),
        ({"model": None}, "is required"),
    ],
)
def test_a_server_that_may_not_start(config: dict[str, Any], told: str) -> None:
    values = {"model": {"id": "some/tiny"}, **config}
    code = (
        "import json, sys\nfrom swift.config.serve import ServeConfig\nfrom swift.errors import SwiftError\n"
        "from swift.serving.run import serve\ntry:\n    serve(ServeConfig.model_validate(json.loads(sys.argv[1])))\n"
        "except SwiftError as error:\n    print(error.message, file=sys.stderr); sys.exit(2)\n"
    )
    with launched("-c", code, json.dumps(values)) as running:
        assert running.process.wait(60) == 2
        running.wait_for(told)


def test_a_model_that_cannot_be_loaded_ends_the_server() -> None:
    with serving(loader="tests.serving.scripted:load_nothing", ready=False) as running:
        assert running.process.wait(60) == 1  # the error is raised to the caller
        running.wait_for("nothing to load")


def test_the_servers_process_has_no_torch() -> None:
    with launched(
        "-c",
        "import sys\nimport swift.serving.run\nheavy = {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy), file=sys.stderr)",
    ) as running:
        running.process.wait(60)
        assert running.wait_for("^heavy: (.*)$")[1] == "[]"
