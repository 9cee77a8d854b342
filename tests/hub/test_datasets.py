"""Data sets of hubs: a real download from a server on this machine, its cache, and what happens offline."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SHA = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"---\nconfigs:\n- config_name: en\n  data_files: en/*.jsonl\n---\n",
    "en/a.jsonl": b'{"text": "one"}\n',
    "en/b.jsonl": b'{"text": "two"}\n',
    "zh/a.jsonl": b'{"text": "three"}\n',
}
SCRIPT = """
import sys
from swift.data.source import open_sources
from swift.data.syntax import parse
from swift.config.data import DataConfig
from swift.errors import SwiftError
try:
    for source in open_sources(parse(sys.argv[1]), DataConfig(hub=sys.argv[2])):
        print(source.name, source.count())
except SwiftError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of Hugging Face's API as a download of one data set takes."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *values: object) -> None:
        """Stay quiet."""

    def _answer(self, *, body: bool) -> None:
        type(self).asked.append(self.path)
        path = self.path.split("?")[0]
        prefix = f"/datasets/org/name/resolve/{SHA}/"
        if path.startswith("/api/datasets/org/name/revision/") or path == "/api/datasets/org/name":
            siblings = [{"rfilename": name} for name in FILES]
            self._send(json.dumps({"id": "org/name", "sha": SHA, "siblings": siblings}).encode(), body, {})
        elif path.startswith(f"/api/datasets/org/name/tree/{SHA}"):
            tree = [{"type": "file", "path": name, "size": len(data), "oid": "x"} for name, data in FILES.items()]
            self._send(json.dumps(tree).encode(), body, {})
        elif path.startswith(prefix) and path.removeprefix(prefix) in FILES:
            data = FILES[path.removeprefix(prefix)]
            tag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            self._send(data, body, {"ETag": f'"{tag}"', "X-Repo-Commit": SHA})
        elif path == "/":
            self._send(b"", body, {})
        else:
            self._send(b"", body, {"X-Error-Code": "RepoNotFound"}, 404)

    def _send(self, data: bytes, body: bool, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def run(name: str, folder: Path, hub: str = "hf", **environment: str) -> str:
    """What opening a data set prints, in a process of its own: the hub library reads its settings once."""
    settings = {
        "HF_HOME": str(folder / "hf"),
        "SWIFT_CACHE": str(folder / "swift"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, hub],
        env={**os.environ, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_download_then_cache(hub: str, tmp_path: Path) -> None:
    expected = "org/name/en/a.jsonl 1\norg/name/en/b.jsonl 1\n"
    assert run("org/name:en", tmp_path, HF_ENDPOINT=hub) == expected
    assert not any("zh/a.jsonl" in path for path in Hub.asked)
    assert run("org/name:en", tmp_path, HF_ENDPOINT=hub, SWIFT_OFFLINE="1") == expected
    gone = run("hf::org/other", tmp_path, HF_ENDPOINT=hub, SWIFT_OFFLINE="1")
    assert gone.startswith("HubError the data set org/other is not cached and Hugging Face cannot be reached: ")
    unknown = run("org/name:fr", tmp_path, HF_ENDPOINT=hub)
    assert unknown == "UnknownNameError unknown subset of org/name 'fr' | there are en\n"
    missing = run("hf::org/nothing", tmp_path, HF_ENDPOINT=hub)
    assert missing.startswith("HubError no data set org/nothing on Hugging Face, or it is private | ")


def test_offline_is_one_line_at_once(tmp_path: Path) -> None:
    alone = run("hf::org/name", tmp_path, SWIFT_OFFLINE="1")
    assert alone.startswith("HubError the data set org/name is not cached and Hugging Face cannot be reached: ")
    both = run("AI-ModelScope/alpaca-gpt4-data-zh#500", tmp_path, "auto", SWIFT_OFFLINE="1")
    assert both.count("\n") == 1
    assert "llm-wizard/alpaca-gpt4-data-zh is not cached and Hugging Face cannot be reached" in both
    assert "AI-ModelScope/alpaca-gpt4-data-zh is not cached and ModelScope cannot be reached" in both
    unreachable = run("hf::org/name", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached: 127.0.0.1" in unreachable
