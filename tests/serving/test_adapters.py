"""Adapters that an administrator loads and unloads while the server runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from swift.models.tiny import save_tiny
from tests.engines.support import save_adapter
from tests.serving.support import Running, chat, launched, serving

USER, ADMIN = "key-of-a-user-1", "key-of-an-admin"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    model = save_tiny(folder / "tiny")
    root = folder / "root"
    found = {"model": model, "root": root, "outside": save_adapter(folder / "outside", model, seed=5)}
    for number, name in enumerate(("first", "second")):
        found[name] = save_adapter(root / name, model, seed=number + 1)
    (root / "link").symlink_to(folder / "outside")
    (root / "circle").symlink_to(root / "circle")
    shutil.copytree(found["first"], root / "sly")
    (root / "sly" / "adapter_model.safetensors").unlink()
    (root / "sly" / "adapter_model.safetensors").symlink_to(folder / "outside" / "adapter_model.safetensors")
    shutil.copytree(found["first"], root / "broken")
    (root / "broken" / "adapter_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}{}{}{}")
    (root / "empty").mkdir()
    return found


def words(folders: dict[str, Path], *more: str) -> list[str]:
    given = ["--model", str(folders["model"]), "--port", "0", "--torch_dtype", "float32", "--temperature", "0"]
    return ["-m", "swift", "deploy", *given, "--max_new_tokens", "24", *more]


@pytest.fixture(scope="module")
def server(folders: dict[str, Path]) -> Iterator[Running]:
    keys = [
        "--max_model_len",
        "900",
        "--api_keys",
        f"ann={USER}",
        "--admin_keys",
        f"root={ADMIN}",
        "--adapter_root",
        str(folders["root"]),
    ]
    with launched(*words(folders, *keys, "--adapter_root", str(folders["root"]))) as running:
        running.url = running.wait_for(r"^serving at (\S+)")[1]
        yield running


@pytest.fixture(scope="module")
def expected(folders: dict[str, Path]) -> dict[str, str]:
    """What each model says, of a server that has all from its start."""
    named = [f"{name}={folders[name]}" for name in ("first", "second")]
    with launched(*words(folders, "--adapters", *named)) as running:
        running.url = running.wait_for(r"^serving at (\S+)")[1]
        return {name: said(running, name) for name in ("tiny", "first", "second")}


def post(running: Running, path: str, body: Any, key: str | None = ADMIN) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{running.url}{path}", json=body, headers=headers, timeout=60)


def load(running: Running, name: str, path: str | Path, key: str | None = ADMIN) -> httpx.Response:
    return post(running, LOAD, {"lora_name": name, "lora_path": str(path)}, key)


def unload(running: Running, name: str) -> httpx.Response:
    return post(running, UNLOAD, {"lora_name": name})


def ask(running: Running, model: str) -> httpx.Response:
    body = {**chat("What is said to be the capital of all of this, and why is it so?"), "model": model}
    return post(running, "/v1/chat/completions", body, USER)


def said(running: Running, model: str) -> str:
    text = ask(running, model).json()["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def names(running: Running) -> list[str]:
    listed = httpx.get(f"{running.url}/v1/models", headers={"x-api-key": USER}).json()
    return [item["id"] for item in listed["data"]]


def test_an_adapter_comes_and_goes(server: Running, folders: dict[str, Path], expected: dict[str, str]) -> None:
    assert len(set(expected.values())) == 3
    assert ask(server, "tone").status_code == 404
    for name in ("first", "second", "first"):
        told = load(server, "tone", name)
        assert told.status_code == 200, told.text
        assert told.json()["parent"] == "tiny"
        assert names(server) == ["tiny", "tone"]
        assert said(server, "tone") == expected[name]
        assert said(server, "tiny") == expected["tiny"]
        assert unload(server, "tone").json() == {"id": "tone", "object": "model", "deleted": True}
        assert names(server) == ["tiny"]
        assert ask(server, "tone").status_code == 404
    assert load(server, "whole.path", folders["second"]).status_code == 200
    assert said(server, "whole.path") == expected["second"]
    assert load(server, "whole.path", "first").status_code == 400
    assert unload(server, "whole.path").status_code == 200
    assert unload(server, "whole.path").status_code == 404
    assert unload(server, "tiny").status_code == 404


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong-key-wrong", 401), (USER, 403)])
def test_who_may_not(server: Running, path: str, key: str | None, status: int) -> None:
    for body in ({"lora_name": "x", "lora_path": "first"}, {"lora_name": "x"}, "nonsense", {"no": "such field"}):
        assert post(server, path, body, key).status_code == status
    assert post(server, f"{path}?key={ADMIN}", {"lora_name": "x"}, USER).status_code == 403
    assert post(server, f"/{path}", {"lora_name": "x"}, USER).status_code in (403, 404)
    assert names(server) == ["tiny"]


def test_how_long_sequences_may_be(server: Running) -> None:
    listed = httpx.get(f"{server.url}/v1/models", headers={"x-api-key": USER}).json()
    assert [item["max_model_len"] for item in listed["data"]] == [900]
    body = {**chat("word " * 1000), "model": "tiny"}
    told = post(server, "/v1/chat/completions", body, USER)
    assert (told.status_code, told.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "900" in told.json()["error"]["message"]


def test_an_administrator_may_do_what_others_may(server: Running) -> None:
    assert httpx.get(f"{server.url}/v1/models", headers={"x-api-key": ADMIN}).status_code == 200


@pytest.mark.parametrize(
    "path", ["outside", "../outside", "first/../../outside", "link", "circle", "/etc", "sly", "~", "\0"]
)
def test_paths_that_lead_outside(server: Running, folders: dict[str, Path], path: str) -> None:
    wanted = str(folders["outside"]) if path == "outside" else path
    told = load(server, "x", wanted)
    assert told.status_code == (400 if path == "~" else 403), told.text
    assert str(folders["root"].parent) not in told.text
    assert names(server) == ["tiny"]


@pytest.mark.parametrize("path", ["broken", "empty", "nothing", ".", "first/adapter_config.json", "x" * 3000])
def test_folders_without_a_good_adapter(
    server: Running, folders: dict[str, Path], expected: dict[str, str], path: str
) -> None:
    told = load(server, "x", path)
    assert told.status_code in (400, 403), told.text
    assert str(folders["root"].parent) not in told.text
    assert names(server) == ["tiny"]
    assert said(server, "tiny") == expected["tiny"]


@pytest.mark.parametrize("name", ["", "base", "tiny", "a/b", "../x", "a b", "x\n", "é", "y" * 200])
def test_names_that_may_not_be(server: Running, name: str) -> None:
    assert load(server, name, "first").status_code == 400
    assert names(server) == ["tiny"]


def test_running_answers_are_finished(server: Running, expected: dict[str, str]) -> None:
    assert load(server, "tone", "first").status_code == 200
    body = {**chat("Go on."), "model": "tone", "stream": True, "max_tokens": 800, "ignore_eos": True}
    lines: list[str] = []
    begun = threading.Event()

    def read() -> None:
        headers = {"x-api-key": USER}
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=120) as told:
            for line in told.iter_lines():
                lines.append(line)
                begun.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(60)
    assert unload(server, "tone").status_code == 200
    assert ask(server, "tone").status_code == 404
    assert load(server, "tone", "second").status_code == 200
    assert said(server, "tone") == expected["second"]
    thread.join(120)
    assert lines[-2] == "data: [DONE]"
    finish = [json.loads(line[6:]) for line in lines if line.startswith("data: {")][-1]["choices"][0]["finish_reason"]
    assert finish == "length"
    assert unload(server, "tone").status_code == 200


def test_a_host_that_is_started_again_has_them(
    server: Running, folders: dict[str, Path], expected: dict[str, str]
) -> None:
    shutil.copytree(folders["second"], folders["root"] / "fading")
    assert load(server, "tone", "first").status_code == 200
    assert load(server, "fades", "fading").status_code == 200
    shutil.rmtree(folders["root"] / "fading")
    begin = len(server.lines)
    os.kill(server.host_pid(), signal.SIGKILL)
    server.wait_for("^serving at", begin)
    server.wait_for("fades could not be loaded again", begin)
    assert names(server) == ["tiny", "tone"]
    assert said(server, "tone") == expected["first"]
    assert unload(server, "tone").status_code == 200


def test_without_an_administrator_there_are_no_such_routes(tmp_path: Path) -> None:
    with serving() as running:
        for path in (LOAD, UNLOAD):
            assert httpx.post(f"{running.url}{path}", json={"lora_name": "x"}).status_code == 404
        assert LOAD not in httpx.get(f"{running.url}/openapi.json").json()["paths"]
    config = {"adapter_root": str(tmp_path), "server": {"admin_keys": [f"root={ADMIN}"]}}
    with serving(config) as running:  # whoever is on this machine may ask, and not do that
        assert httpx.post(f"{running.url}/v1/chat/completions", json=chat("hello")).status_code == 200
        assert httpx.post(f"{running.url}{LOAD}", json={"lora_name": "x"}).status_code == 401
        assert LOAD in httpx.get(f"{running.url}/openapi.json").json()["paths"]
