"""Models by the name that each hub has for them, and what to tell where one has no chat template."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.config.model import ModelConfig
from swift.errors import HubError
from swift.hub import locate
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model, template_hint
from swift.models.tiny import save_tiny
from swift.types import Known
from tests.conftest import Swift


def test_an_id_of_hugging_face_is_asked_for_by_its_name_on_modelscope(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path))
    with pytest.raises(HubError, match="the model LLM-Research/gemma-2-2b is not cached and ModelScope"):
        locate_model(ModelConfig(id="google/gemma-2-2b", hub="ms"))
    assert capsys.readouterr().err == "google/gemma-2-2b is LLM-Research/gemma-2-2b on ModelScope\n"


@pytest.mark.parametrize(
    ("name", "template", "hint"),
    [("Llama-3.2-1B", None, "llama3"), ("mine", None, ""), ("Llama-3.2-1B", "{{ messages[0].content }}", "")],
)
def test_the_template_that_suits_a_base_model(tmp_path: Path, name: str, template: str | None, hint: str) -> None:
    folder = save_tiny(tmp_path / name, "llama", chat_template=template)
    config = ModelConfig(id=str(folder))
    located = locate(config)
    assert template_hint(config, load_config(located), load_tokenizer(located)) == Known(hint)


@pytest.mark.parametrize("command", ["sft", "check"])
def test_a_base_model_without_a_template_is_told_which_suits_it(command: str, tmp_path: Path, swift: Swift) -> None:
    save_tiny(tmp_path / "Llama-3.2-1B", "llama", chat_template=None)
    (tmp_path / "rows.jsonl").write_text('{"query": "why", "response": "so"}\n')
    done = swift(command, "--model", "Llama-3.2-1B", "--dataset", "rows.jsonl")
    assert done.code == 2
    assert "error: the checkpoint has no chat template" in done.err
    assert "hint: --chat_template llama3 suits this family of models" in done.err
