"""Quantized layers where they shall be, close to what they stand for, and as large as planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from swift.config.model import ModelConfig
from swift.errors import ConfigError, MissingExtraError, ModelError, ResourceError, UnknownNameError
from swift.hub import Located
from swift.models.load import load_config, load_model
from swift.models.quantize.layers import is_quantized, number_type, quantized_layers
from swift.models.quantize.method import describe, require_loadable, skeleton
from swift.models.quantize.size import planned_bytes, weight_bytes, weight_elements
from swift.models.structure import linear_layer_names, output_head
from swift.models.tiny import save_tiny, save_tiny_multimodal

CPU = torch.device("cpu")
METHODS: dict[str, dict[str, Any]] = {
    "nf4": {"type": "bnb"},
    "nf4 without double quantization": {"type": "bnb", "double_quant": False},
    "fp4 in bfloat16 storage": {"type": "bnb", "quant_type": "fp4", "storage": "bfloat16"},
    "int8 of bitsandbytes": {"type": "bnb", "bits": 8},
    "hqq": {"type": "hqq", "group_size": 16},
    "hqq of 2 bits, other axis": {"type": "hqq", "bits": 2, "axis": 0, "group_size": 16},
    "int8 of torchao": {"type": "torchao"},
    "int4 of torchao": {"type": "torchao", "bits": 4, "group_size": 16},
    "float8 of torchao": {"type": "torchao", "scheme": "float8"},
}
COARSE = {"hqq of 2 bits, other axis": 0.6}
IDS = torch.arange(3, 40)[None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), hidden_size=64, intermediate_size=128)


def load(folder: Path, quantization: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32) -> Any:
    config = ModelConfig.model_validate({"id": str(folder), "quantization": quantization or {"type": "none"}})
    return load_model(Located(folder, "folder", "tiny", None), config, device=CPU, dtype=dtype)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=IDS).logits.float()


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_linear_layers_of_the_language_model_are_quantized(name: str, dtype: torch.dtype, folder: Path) -> None:
    plain, model = load(folder, dtype=dtype), load(folder, METHODS[name], dtype)
    assert list(quantized_layers(model)) == linear_layer_names(plain) == linear_layer_names(model)
    assert type(output_head(model)) is nn.Linear
    assert not is_quantized(output_head(model))
    assert number_type(model) == dtype
    assert weight_elements(model) == weight_elements(plain) == sum(p.numel() for p in plain.parameters())
    expected, found = logits(plain), logits(model)
    error = float((found - expected).norm() / expected.norm())
    assert 1e-5 < error < COARSE.get(name, 0.25)


@pytest.mark.parametrize("name", list(METHODS))
def test_bytes_are_as_planned(name: str, folder: Path) -> None:
    config = ModelConfig.model_validate({"id": str(folder), "quantization": METHODS[name]})
    bare = skeleton(load_config(Located(folder, "folder", "tiny", None)), trust_remote_code=False)
    model = load(folder, METHODS[name])
    planned = planned_bytes(bare, config.quantization)
    # Tiny layers have tables that do not count in real ones.
    tables = len(quantized_layers(model)) * (16 + 257) * 4 if METHODS[name]["type"] == "bnb" else 0
    assert planned <= weight_bytes(model) <= 1.02 * planned + tables
    assert weight_bytes(model) < weight_bytes(load(folder))


def test_double_quantization_and_fewer_bits_take_less(folder: Path) -> None:
    sizes = [
        weight_bytes(load(folder, {"type": "bnb", **options}))
        for options in ({}, {"double_quant": False}, {"bits": 8})
    ]  # fmt: skip
    assert sizes[0] != sizes[1]
    assert max(sizes[:2]) < sizes[2] < weight_bytes(load(folder))


@pytest.mark.parametrize("method", ["bnb", "hqq", "torchao"])
def test_modules_to_not_convert(method: str, folder: Path) -> None:
    kept = ["down_proj", "layers.1.self_attn"]
    model = load(folder, {"type": method, "modules_to_not_convert": kept})
    names = set(quantized_layers(model))
    assert names
    assert not [name for name in names if "down_proj" in name or "layers.1.self_attn" in name]
    assert {name for name in linear_layer_names(model) if name not in names} == {
        name for name in linear_layer_names(model) if "down_proj" in name or "layers.1.self_attn" in name
    }
    plain = load(folder)
    for name in kept[:1]:
        layer = f"model.layers.0.mlp.{name}"
        assert torch.equal(model.get_submodule(layer).weight, plain.get_submodule(layer).weight)


def test_a_name_that_matches_nothing_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="down_prj") as caught:
        load(folder, {"type": "hqq", "modules_to_not_convert": ["down_prj"]})
    assert "down_proj" in caught.value.hint


def test_towers_and_aligners_stay_as_they_are(tmp_path: Path) -> None:
    folder = save_tiny_multimodal(tmp_path / "model", "llava")
    model = load(folder, {"type": "bnb"})
    names = quantized_layers(model)
    assert names
    assert all("language_model" in name for name in names)


def test_the_same_file_gives_the_same_bits(folder: Path) -> None:
    for method in METHODS.values():
        assert torch.equal(logits(load(folder, method)), logits(load(folder, method)))


def test_transposed_layers_are_taken_by_bitsandbytes_alone(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "gpt2", "gpt2")
    plain, model = load(folder), load(folder, {"type": "bnb"})
    assert len(quantized_layers(model)) == len(linear_layer_names(plain))
    assert weight_elements(model) == weight_elements(plain)
    assert float((logits(model) - logits(plain)).norm() / logits(plain).norm()) < 0.25
    with pytest.raises(ConfigError, match="finds no layer"):
        load(folder, {"type": "hqq"})


@pytest.mark.parametrize("method", [{"type": "hqq", "group_size": 64}, {"type": "torchao", "bits": 4}])
def test_groups_that_do_not_fit_are_refused_before_weights(method: dict[str, Any], tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "odd", hidden_size=48, num_attention_heads=4, head_dim=12)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises((ConfigError, ModelError)) as caught:
        load(folder, method)
    assert isinstance(caught.value, ModelError)  # weights are looked at first, for their length only
    save_tiny(folder, hidden_size=48, num_attention_heads=4, head_dim=12)
    with pytest.raises(ConfigError, match="does not divide the 48"):
        load(folder, method)


def test_what_needs_another_device_is_refused(folder: Path) -> None:
    with pytest.raises(ResourceError, match="need a CUDA device"):
        load(folder, {"type": "torchao", "scheme": "int4-packed"})


@pytest.mark.parametrize(("method", "library"), [("bnb", "bitsandbytes"), ("hqq", "hqq"), ("torchao", "torchao")])
def test_a_missing_library_names_what_installs_it(
    method: str, library: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swift.models.quantize.method.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=f"--quant_method {method} needs the library '{library}'") as caught:
        load(folder, {"type": method})
    assert "swift-finetune[quant]" in caught.value.hint


def _checkpoint(folder: Path, target: Path, **values: Any) -> Any:
    config = load_config(Located(folder, "folder", "tiny", None))
    config.quantization_config = values
    config.save_pretrained(target)
    return load_config(Located(target, "folder", "tiny", None))


@pytest.mark.parametrize(
    ("values", "training", "message", "hint"),
    [
        ({"quant_method": "fp8"}, False, "fp8, which does not run on cpu", "runs on: cuda"),
        ({"quant_method": "auto-round"}, False, "needs auto_round", "pip install auto-round"),
        ({"quant_method": "compressed-tensors"}, True, "only run, not trained on", "--quant_method bnb"),
        ({"quant_method": "gptq", "bits": 4}, True, "needs gptqmodel", "pip install gptqmodel optimum"),
        ({"quant_method": "awq", "bits": 4}, False, "needs gptqmodel", "pip install gptqmodel optimum"),
    ],
)
def test_quantized_checkpoints_that_cannot_be_used(
    values: dict[str, Any], training: bool, message: str, hint: str, folder: Path, tmp_path: Path
) -> None:
    config = _checkpoint(folder, tmp_path, **values)
    with pytest.raises((ModelError, ResourceError), match=message) as caught:
        require_loadable("some/model", ModelConfig(id="x"), config, CPU, training=training)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_kernels_that_only_infer_are_refused_for_training(
    method: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swift.models.quantize.checkpoint.find_spec", lambda name: "installed")
    config = _checkpoint(folder, tmp_path, quant_method=method, bits=4)
    require_loadable("some/model", ModelConfig(id="x"), config, CPU, training=False)
    with pytest.raises(ResourceError, match="for inference only on cpu") as caught:
        require_loadable("some/model", ModelConfig(id="x"), config, CPU, training=True)
    assert "--quant_method bnb" in caught.value.hint


def test_a_quantized_checkpoint_loads_as_it_was_and_is_not_quantized_again(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    original = load(folder, {"type": "bnb"})
    original.save_pretrained(saved)
    again = load(saved)
    assert list(quantized_layers(again)) == list(quantized_layers(original))
    assert torch.equal(logits(again), logits(original))
    config = load_config(Located(saved, "folder", "tiny", None))
    assert describe(ModelConfig(id="x"), config) == "bitsandbytes, 4 bits, as in the checkpoint"
    require_loadable("x", ModelConfig(id="x"), config, CPU, training=True)
    with pytest.raises(ConfigError, match="quantized already"):
        load(saved, {"type": "hqq"})
