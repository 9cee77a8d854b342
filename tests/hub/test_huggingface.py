"""The real client library against a hub on this machine, in processes of their own (it reads its settings once)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.hf_server import COMMIT, Hub, hub

SHARD = b"w" * 300_000
FILES = {
    "README.md": b"hello",
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"x",
    "model.safetensors": SHARD,
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"onnx",
    "modeling_own.py": b"1/0",
}
PROGRAM = """
import json, sys
from swift.config.model import ModelConfig
from swift.errors import SwiftError
from swift.hub import locate
options = json.loads(sys.argv[1])
try:
    found = locate(ModelConfig(**options["model"]), weights=options["weights"], progress=options["progress"])
    files = sorted(str(p.relative_to(found.path)) for p in found.path.rglob("*") if p.is_file())
    print(json.dumps({"files": files, "revision": found.revision, "path": str(found.path), "kind": found.kind}))
except SwiftError as error:
    print(json.dumps({"error": error.message, "hint": error.hint, "type": type(error).__name__}))
"""


@pytest.fixture
def site() -> Iterator[Hub]:
    with hub(FILES) as running:
        yield running


class Client:
    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.stderr = ""

    def __call__(self, name: str, *, weights: bool = True, progress: bool = False, **model: Any) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SWIFT_"))}
        environment |= {"HF_ENDPOINT": self.url, "HF_HOME": str(self.home), "HF_HUB_DISABLE_XET": "1"}
        options = json.dumps({"model": {"id": name, **model}, "weights": weights, "progress": progress})
        command = [sys.executable, "-c", PROGRAM, options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        self.stderr = done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def client(tmp_path: Path, site: Hub) -> Client:
    return Client(tmp_path, site.url)


def test_download_then_cache_then_offline(client: Client, site: Hub) -> None:
    first = client("org/tiny", weights=False, progress=True)
    assert first["files"] == ["README.md", "chat_template.jinja", "config.json", "tokenizer.json"]
    assert first["revision"] == COMMIT
    offline = Client(client.home, "http://nowhere.invalid")
    assert offline("org/tiny", weights=False)["path"] == first["path"]
    assert "is not cached" in offline("org/tiny")["error"]  # the weights are not there yet
    whole = client("org/tiny")
    assert whole["files"] == ["README.md", "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]
    assert client.stderr == ""
    assert len(site.served) == len(set(site.served)) == 5
    assert client("org/tiny") == whole
    assert len(site.served) == 5
    assert offline("org/tiny", progress=True) == whole
    assert offline.stderr == "Hugging Face cannot be reached: using the cached copy of org/tiny\n"
    assert offline(f"org/tiny@{COMMIT}", progress=True) == whole
    assert offline.stderr == ""  # a commit cannot have changed: nobody is asked
    assert "is not cached" in offline("org/tiny@other")["error"]


def test_a_broken_download_resumes(client: Client, site: Hub) -> None:
    size = 25_000_000  # the library writes in large pieces
    site.files = {**FILES, "model.safetensors": bytes(size)}
    site.cut["model.safetensors"] = size - 1
    found = client("org/tiny")
    assert (Path(found["path"]) / "model.safetensors").stat().st_size == size
    first, second = [int(entry.split("@")[1]) for entry in site.served if entry.startswith("model.")]
    assert first == 0 < second


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("org/none", "no model org/none on Hugging Face, or it is private", "--hub_token"),
        ("org/tiny@nope", "has no revision 'nope'", "page"),
        ("org/gated", "is gated", "accept its terms"),
    ],
)
def test_what_the_hub_refuses(client: Client, name: str, says: str, hint: str) -> None:
    answer = client(name)
    assert says in answer["error"]
    assert "\n" not in answer["error"]
    assert hint in answer["hint"]


def test_a_repository_of_one_gguf(client: Client, site: Hub) -> None:
    site.files = {"README.md": b"hello", "tiny.Q8_0.gguf": b"GGUF"}
    found = client("org/tiny")
    assert found["kind"] == "gguf"
    assert Path(found["path"]).read_bytes() == b"GGUF"
    assert found["revision"] == COMMIT
    assert Client(client.home, "http://nowhere.invalid")("org/tiny") == found


def test_code_comes_only_where_it_is_trusted(client: Client) -> None:
    assert "modeling_own.py" not in client("org/tiny")["files"]
    assert "modeling_own.py" in client("org/tiny", trust_remote_code=True)["files"]
