"""Merging in pieces gives the weights that merging in memory gives, or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM, AutoTokenizer

from swift.config.export import ExportConfig
from swift.errors import ConfigError, ModelError, SwiftError
from swift.exporting.export import export
from swift.models.tiny import save_tiny, save_tiny_multimodal, tiny_model, tiny_tokenizer
from tests.engines.support import save_adapter


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = save_tiny(tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="60KB")
    (folder / "model.safetensors").unlink()
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def merged(folder: Path, *adapters: Path, pieces: bool, **values) -> dict[str, torch.Tensor]:
    given = {
        "adapters": list(map(str, adapters)),
        "merge_lora": True,
        "in_pieces": pieces,
        "output_dir": str(folder),
        "certificate": {"min_stop": 0.0, "rows": 2, "answers": 0},
        **values,
    }
    given["model"] = {"device": "cpu", **values.get("model", {})}
    export(ExportConfig.model_validate(given))
    AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template
    return {name: value for file in sorted(folder.glob("*.safetensors")) for name, value in load_file(file).items()}


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ["lm_head"]}])
def test_the_same_weights(options, model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, **options)
    whole = merged(tmp_path / "whole", adapter, pieces=False)
    parts = merged(tmp_path / "parts", adapter, pieces=True, max_shard_size="100KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=1e-6), name


def test_several_adapters_and_another_type(model, tmp_path):
    one = save_adapter(tmp_path / "one", model, seed=1, scale=0.1)
    two = save_adapter(tmp_path / "two", model, seed=2, scale=0.1)
    half = {"model": {"dtype": "bfloat16"}}
    whole = merged(tmp_path / "whole", one, two, pieces=False, **half)
    parts = merged(tmp_path / "parts", one, two, pieces=True, **half)
    assert {value.dtype for value in parts.values()} == {torch.bfloat16}
    for name, value in whole.items():
        assert torch.allclose(value.float(), parts[name].float(), atol=0.02), name


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"bias": "all"}, ConfigError, "bias all"),
        ({"target_modules": ["embed_tokens"]}, SwiftError, "embed_tokens"),
    ],
)
def test_what_cannot_be_merged_so_is_told(options, kind, words, model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, **options)
    with pytest.raises(kind, match=words) as error:
        merged(tmp_path / "parts", adapter, pieces=True)
    assert "--merge_in_pieces" in error.value.hint
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("options", [{"modules_to_save": ["embed_tokens"]}, {"target_modules": ["lm_head"]}])
def test_embeddings_that_would_have_to_part_from_the_head(options, tmp_path):
    model = save_tiny(tmp_path / "tied", tie_word_embeddings=True)
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, **options)
    with pytest.raises(ModelError, match=r"tied|lm_head") as error:
        merged(tmp_path / "parts", adapter, pieces=True, certificate={"enabled": False})
    assert "--merge_in_pieces" in error.value.hint
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("kind", ["qwen3_vl", "qwen3_vl_moe"])
def test_a_model_that_sees(kind, tmp_path):
    """Whose configuration may say nothing of tied weights, or what is not so."""
    model = save_tiny_multimodal(tmp_path / "model", kind)
    base = AutoModelForMultimodalLM.from_pretrained(model)
    layers = r"model\.language_model\.layers\.\d+\.self_attn\.q_proj"
    tuned = get_peft_model(base, LoraConfig(r=4, target_modules=layers))
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(str(tmp_path / "adapter"))
    found = []
    for pieces in (False, True):
        given = {"model": {"id": str(model), "device": "cpu"}, "adapters": [str(tmp_path / "adapter")]}
        given |= {"merge_lora": True, "in_pieces": pieces, "output_dir": str(tmp_path / f"pieces-{pieces}")}
        folder = export(ExportConfig.model_validate({**given, "certificate": {"enabled": False}}))
        found.append(load_file(folder / "model.safetensors"))
    whole, parts = found
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=1e-6), name


def test_the_sum_is_rounded_once_to_the_wanted_type(tmp_path):
    model = tmp_path / "half"
    tiny_model().bfloat16().save_pretrained(model)
    tiny_tokenizer().save_pretrained(model)
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.05)
    wide = {"model": {"dtype": "float32"}, "certificate": {"enabled": False}}
    whole = merged(tmp_path / "whole", adapter, pieces=False, **wide)
    parts = merged(tmp_path / "parts", adapter, pieces=True, **wide)
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=1e-6, rtol=0), name


@pytest.mark.parametrize(
    ("damage", "words"),
    [("cut", "cut short"), ("bin", "no adapter_model.safetensors"), ("model", "cut short"), ("other", "has the shape")],
)
def test_files_that_cannot_be_merged(damage, words, model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    file = adapter / "adapter_model.safetensors"
    if damage == "bin":
        file.rename(adapter / "adapter_model.bin")
    elif damage == "other":
        model = save_tiny(tmp_path / "other", hidden_size=32, intermediate_size=64)
    else:
        file = file if damage == "cut" else sorted(model.glob("*.safetensors"))[-1]
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SwiftError, match=words):
        merged(
            tmp_path / "parts",
            adapter,
            pieces=True,
            model={"id": str(model)},
            certificate={"enabled": False},
        )
    assert not (tmp_path / "parts").exists()


def test_an_adapter_that_is_not_finite(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=float("inf"))
    with pytest.raises(SwiftError):
        merged(tmp_path / "parts", adapter, pieces=True, certificate={"enabled": False})
    assert not (tmp_path / "parts").exists()


def test_files_that_name_layers_otherwise(tmp_path, model):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    for file in model.glob("*.safetensors"):
        file.unlink()
    (model / "model.safetensors.index.json").unlink()
    from safetensors.torch import save_file

    save_file({"something.else": torch.zeros(2)}, model / "model.safetensors")
    with pytest.raises(ModelError):
        merged(tmp_path / "parts", adapter, pieces=True, certificate={"enabled": False})
