"""Servers as child processes: readiness, death, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from swift.engines.server import Launch, Server, free_port, start
from swift.errors import EngineError

CODE = """
import http.server, os, subprocess, sys
port, mode = int(sys.argv[1]), sys.argv[2]
if mode == "dies":
    print("loading the model"); print("no room for it", file=sys.stderr); sys.exit(3)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("children", os.getpid(), child.pid, flush=True)
if mode == "deaf":
    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def launch(port: int, mode: str = "fine") -> Launch:
    address = f"http://127.0.0.1:{port}"
    return Launch("toy", (sys.executable, "-c", CODE, str(port), mode), f"{address}/v1", f"{address}/health")


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(running(pid) for pid in pids)


def children(log: Path) -> list[int]:
    (line,) = [line for line in log.read_text().splitlines() if line.startswith("children")]
    return [int(word) for word in line.split()[1:]]


def test_a_server_starts_and_ends_with_all_its_children(tmp_path: Path) -> None:
    server = Server(launch(free_port()), tmp_path / "log")
    server.wait_ready(20)
    pids = children(server.log)
    assert server.alive
    assert server.failure() is None
    assert all(running(pid) for pid in pids)
    assert server.log.stat().st_mode & 0o077 == 0, "a log may hold what users ask"
    server.stop()
    assert gone(pids)
    assert not server.log.exists(), "nothing went wrong"
    assert server.failure() is None
    server.stop()


def test_a_server_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    server = Server(launch(free_port(), "dies"), tmp_path / "log")
    with pytest.raises(EngineError, match="exit code 3") as error:
        server.wait_ready(20)
    assert "no room for it" in error.value.message
    assert str(server.log) in error.value.hint
    assert server.log.exists()


def test_the_log_of_a_server_that_has_failed_at_a_request_is_kept(tmp_path: Path) -> None:
    server = Server(launch(free_port()), tmp_path / "log")
    server.wait_ready(20)
    told = server.erred()
    server.stop()
    assert str(server.log) in told
    assert server.log.exists()


def test_a_server_that_is_killed_later_is_told(tmp_path: Path) -> None:
    server = Server(launch(free_port()), tmp_path / "log")
    server.wait_ready(20)
    pids = children(server.log)
    os.kill(pids[0], signal.SIGKILL)
    assert gone(pids[:1])
    deadline = time.monotonic() + 5
    while server.failure() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    failure = server.failure()
    assert failure is not None
    assert "has ended" in failure.message
    server.stop()
    assert gone(pids)


def test_a_server_that_is_killed_is_started_again(tmp_path: Path) -> None:
    server = Server(launch(free_port()), tmp_path / "log", again=1)
    server.wait_ready(20)
    (first,) = [line.split()[1:] for line in server.log.read_text().splitlines()]
    os.kill(int(first[0]), signal.SIGKILL)
    deadline = time.monotonic() + 20
    told = []
    while (not told or server.failure() is not None) and time.monotonic() < deadline:
        failure = server.failure()
        told += [] if failure is None else [failure.message]
        time.sleep(0.05)
    assert "has ended" in told[0]
    assert server.failure() is None
    with urllib.request.urlopen(server.launch.health, timeout=5) as answer:
        assert answer.status == 200
    (_, second) = [line.split()[1:] for line in server.log.read_text().splitlines()]
    assert gone([int(pid) for pid in first]), "nothing of the first one is left"
    os.kill(int(second[0]), signal.SIGKILL)
    assert gone([int(second[0])])
    time.sleep(0.2)
    assert server.failure() is not None, "once was enough"
    server.stop()
    assert gone([int(pid) for pid in second])


def test_a_server_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    other = launch(free_port())
    deaf = Launch("toy", other.command, other.url, other.health.replace("/health", "/never"))
    server = Server(deaf, tmp_path / "log")
    deadline = time.monotonic() + 20
    while "children" not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(EngineError, match=r"not ready after 0\.5 s"):
        server.wait_ready(0.5)
    assert gone(children(server.log))


def test_starting_tells_where_the_log_is(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path))
    server = start(lambda port, key: launch(port), 20)
    told = capsys.readouterr().err
    assert "starting toy; its log is" in told
    assert "toy answers after" in told
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_of_a_process_that_is_killed(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        "import time; from pathlib import Path; from tests.engines.test_server import *\n"
        f"s = Server(launch(free_port()), Path({str(tmp_path / 'log')!r})); s.wait_ready(20)\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    pids = children(tmp_path / "log")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pids)
