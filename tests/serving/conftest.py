"""Servers that tests share."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from swift.models.tiny import save_tiny_multimodal
from tests.serving.hostile import KEY, OTHER, Bystander, Web
from tests.serving.support import SEEING, THINKING, Running, serving

HOSTS = ["localhost", "127.0.0.1", "rebind.test", "*.rebind.test"]


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server over an engine that says what it is told to."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def thinker() -> Iterator[Running]:
    """One whose model thinks first."""
    with serving(template=THINKING) as running:
        yield running


@pytest.fixture(scope="session")
def web() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    (folder / "inside").mkdir()
    (folder / "secret.txt").write_text("secret")
    return folder / "inside"


@pytest.fixture(scope="session")
def guarded(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = save_tiny_multimodal(tmp_path_factory.mktemp("models") / "qwen2_vl", "qwen2_vl")
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"# who may ask\nalice={KEY}\nbob={OTHER}\n")
    config = {
        "model": {"id": str(model)},
        "served_model_name": "tiny",
        "server": {"api_keys": [str(keys)], "host": "0.0.0.0"},
        "limits": {
            "body_megabytes": 4,
            "body_seconds": 1.0,
            "head_seconds": 1.0,
            "prompt_tokens": 5000,
            "completion_tokens": 4000,
            "media": 3,
            "nesting": 20,
        },
        "media": {
            "root": str(media),
            "hosts": ["localhost", "127.0.0.1", "rebind.test", "*.rebind.test"],
            "timeout": 3,
        },
    }
    with serving(config, loader=SEEING) as running:
        yield running


@pytest.fixture(scope="module")
def bystander(guarded: Running) -> Iterator[Bystander]:
    """Somebody who reads streams of that server all the time."""
    found = Bystander(guarded)
    yield found
    found.end()
