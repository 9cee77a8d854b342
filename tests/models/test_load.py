from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from swift.config.model import ModelConfig
from swift.errors import ModelError
from swift.hub import Located
from swift.models.load import load_config, load_model, load_tokenizer
from swift.models.tiny import save_tiny, tiny_model
from tests.models.zoo import ids

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def located(folder: Path) -> Located:
    return Located(folder, "folder", "my/model", None)


def load(folder: Path, *, attention: str = "sdpa", dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    config = ModelConfig(id=str(folder), **options)
    return load_model(located(folder), config, device=CPU, dtype=dtype, attention=attention)


def change(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_everything_comes_back_quietly(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = load(saved, attention="eager")
    assert torch.equal(model(ids()).logits, tiny_model(attn_implementation="eager")(ids()).logits)
    assert not model.training
    assert model.config._attn_implementation == "eager"
    assert load_config(located(saved)).model_type == "llama"
    assert load_tokenizer(located(saved)).decode([1]) == "<|im_start|>"
    assert capfd.readouterr() == ("", "")


def test_dtype(saved: Path) -> None:
    assert {weight.dtype for weight in load(saved, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "llama", tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert load(folder).config.tie_word_embeddings


def test_missing_weights_are_refused(folder: Path) -> None:
    change(folder, lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"my/model lack weights: model\.layers\.1\.mlp\.up_proj\.weight"):
        load(folder)


def test_other_shapes_are_refused(folder: Path) -> None:
    change(folder, lambda weights: weights.update({"model.norm.weight": torch.ones(3)}))
    with pytest.raises(ModelError, match="norm"):
        load(folder)


def test_unused_weights_are_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change(folder, lambda weights: weights.update({"extra.weight": torch.ones(3)}))
    load(folder)
    assert capfd.readouterr().err == "warning: weights of my/model that the model does not use: extra.weight\n"


def test_truncated_weights_are_found_before_loading(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match=f"{file} is cut short"):
        load(folder)


def test_bin_weights_are_read_by_the_restricted_unpickler(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(load(folder)(ids()).logits, tiny_model()(ids()).logits)
    assert "restricted unpickler" in capfd.readouterr().err


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was_run"),))


def test_code_in_bin_weights_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError):
        load(folder)
    assert not (tmp_path / "was_run").exists()


def edit_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


@pytest.mark.parametrize(
    ("values", "says", "hint"),
    [
        ({"model_type": "brand_new"}, "architecture 'brand_new' is unknown", "--upgrade transformers"),
        ({"model_type": None}, "has no model_type", "configuration"),
        ({"num_attention_heads": "many"}, "cannot be used", ""),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.Own"}},
            "needs Python code that comes with it",
            "--trust_remote_code true",
        ),
    ],
)
def test_configurations(folder: Path, values: dict[str, Any], says: str, hint: str) -> None:
    edit_config(folder, **values)
    with pytest.raises(ModelError, match=says) as caught:
        load_config(located(folder))
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_damaged_configuration(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        load_config(located(folder))


def test_code_is_run_only_where_it_is_trusted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    edit_config(folder, model_type="own", auto_map={"AutoConfig": "configuration_own.Own"})
    (folder / "configuration_own.py").write_text(
        "from transformers import LlamaConfig\n"
        f"open({str(tmp_path / 'was_run')!r}, 'w').close()\n"
        "class Own(LlamaConfig):\n    model_type = 'own'\n"
    )
    with pytest.raises(ModelError, match="needs Python code"):
        load_config(located(folder))
    assert not (tmp_path / "was_run").exists()
    assert type(load_config(located(folder), trust_remote_code=True)).__name__ == "Own"
    assert (tmp_path / "was_run").exists()


def test_not_a_causal_language_model(folder: Path) -> None:
    edit_config(folder, model_type="clip", architectures=["CLIPModel"])
    with pytest.raises(ModelError, match="no model that generates text"):
        load(folder)


@pytest.mark.parametrize("attention", ["flash_attention_2", "no_such_attention"])
def test_attention_that_cannot_be_used(folder: Path, attention: str) -> None:
    with pytest.raises(ModelError, match=f"attention '{attention}'") as caught:
        load(folder, attention=attention)
    assert "eager" in caught.value.hint


@pytest.mark.parametrize("damage", ["{", "", None])
def test_tokenizers(folder: Path, damage: str | None) -> None:
    file = folder / "tokenizer.json"
    file.unlink()
    if damage is not None:
        file.write_text(damage)
    with pytest.raises(ModelError, match="tokenizer") as caught:
        load_tokenizer(located(folder))
    assert "\n" not in caught.value.message
