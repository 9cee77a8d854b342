"""Weights in fewer bits: written, read again, close to what they were, with their certificate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from swift.errors import ConfigError, EngineError, UnknownNameError
from swift.exporting.export import export
from swift.hub import Located
from swift.models.load import load_config, load_model
from swift.models.quantize.layers import quantized_layers
from tests.engines.support import save_adapter
from tests.exporting.support import config, trained, write_rows

LAYERS = 14


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("trained") / "model")


def quantized(model: Path, tmp_path: Path, **values) -> tuple[Path, dict]:
    rows = write_rows(tmp_path / "rows.jsonl")
    folder = export(config(model, rows, output_dir=str(tmp_path / "out"), **values))
    return folder, json.loads((folder / "certificate.json").read_text())


def load(folder: Path) -> torch.nn.Module:
    from swift.config.model import ModelConfig

    located = Located(folder, "folder", str(folder), None)
    return load_model(located, ModelConfig(id=str(folder)), device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(
    ("method", "worst"),
    [
        ({"type": "bnb"}, 0.5),
        ({"type": "bnb", "bits": 8}, 0.02),
        ({"type": "hqq", "group_size": 32}, 0.5),
        ({"type": "hqq", "bits": 8}, 0.01),
        ({"type": "torchao"}, 0.01),
        ({"type": "torchao", "bits": 4}, 0.5),
        ({"type": "torchao", "scheme": "int8-dynamic"}, 0.02),
        ({"type": "torchao", "scheme": "float8"}, 0.1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_every_method_here(method, worst, model, tmp_path):
    folder, certificate = quantized(model, tmp_path, quantize=method)
    assert certificate["passed"]
    assert 0 < certificate["distance"]["mean_kl"] < worst
    assert certificate["after"]["size_bytes"] < certificate["before"]["size_bytes"]
    assert len(certificate["layers"]) == LAYERS
    assert all(0 < layer["output"] < 0.2 for layer in certificate["layers"])
    assert len(certificate["blocks"]) == 2
    assert AutoTokenizer.from_pretrained(folder).chat_template
    if method["type"] != "hqq":  # which transformers 5 does not read
        loaded = AutoModelForCausalLM.from_pretrained(folder)
        assert len(quantized_layers(loaded)) == LAYERS


def test_hqq_is_read_bit_for_bit(model, tmp_path):
    folder, _ = quantized(model, tmp_path, quantize={"type": "hqq", "group_size": 32}, max_shard_size="50KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    values = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert values["quant_method"] == "hqq"
    assert values["skip_modules"] == ["lm_head"]
    names = {name for file in folder.glob("*.safetensors") for name in safe_open(file, "pt").keys()}  # noqa: SIM118
    assert "model.layers.0.mlp.down_proj.W_q" in names
    assert "model.layers.0.mlp.down_proj.weight" not in names
    ids = torch.arange(3, 40)[None]
    again = load(folder)
    assert len(quantized_layers(again)) == LAYERS
    from swift.config.model import ModelConfig

    held = ModelConfig.model_validate({"id": str(model), "quantization": {"type": "hqq", "group_size": 32}})
    located = Located(model, "folder", str(model), None)
    fresh = load_model(located, held, device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, fresh(input_ids=ids).logits)


def test_an_adapter_is_merged_first(model, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=0.05)
    folder, certificate = quantized(
        model, tmp_path, adapters=[str(adapter)], merge_lora=True, quantize={"type": "torchao"}
    )
    assert certificate["source"].endswith("/".join(adapter.parts[-2:]))
    assert certificate["distance"]["mean_kl"] < 0.02
    assert not (folder / "plain").exists()


def test_named_layers_stay_as_they_are(model, tmp_path):
    method = {"type": "bnb", "modules_to_not_convert": ["down_proj", "layers.0"]}
    folder, _ = quantized(model, tmp_path, quantize=method)
    kept = quantized_layers(AutoModelForCausalLM.from_pretrained(folder))
    assert len(kept) == LAYERS // 2 - 1
    assert not any("down_proj" in name or "layers.0." in name for name in kept)
    (tmp_path / "b").mkdir()
    with pytest.raises(UnknownNameError):
        quantized(model, tmp_path / "b", quantize={"type": "bnb", "modules_to_not_convert": ["down_prj"]})


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_towers_and_aligners_stay_as_they_are(architecture, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from swift.models.tiny import save_tiny_multimodal

    model = save_tiny_multimodal(tmp_path / "model", architecture)
    limits = {"min_stop": 0, "rows": 3, "answers": 1}
    options = {"quantize": {"type": "bnb", "bits": 8}, "output_dir": str(tmp_path / "out"), "certificate": limits}
    folder = export(config(model, None, **options))
    names = list(quantized_layers(AutoModelForImageTextToText.from_pretrained(folder)))
    assert names
    assert all("language_model" in name for name in names)
    assert AutoProcessor.from_pretrained(folder)


def test_too_few_bits_fail_and_are_put_aside(model, tmp_path):
    from swift.errors import ModelError

    with pytest.raises(ModelError, match="divergence"):
        quantized(model, tmp_path, quantize={"type": "hqq", "bits": 1}, certificate={"min_stop": 0})
    assert (tmp_path / "out-failed" / "certificate.md").read_text().startswith("# Certificate: FAILED")
    assert not (tmp_path / "out").exists()


def test_what_is_quantized_is_not_quantized_again(model, tmp_path):
    from swift.errors import ModelError

    folder, _ = quantized(model, tmp_path, quantize={"type": "bnb"})
    with pytest.raises(ModelError, match="quantized"):
        export(config(folder, None, quantize={"type": "torchao"}, output_dir=str(tmp_path / "twice")))


def test_an_environment_that_is_not_there_is_told_first(model, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl")
    values = {"data": {"train": [str(rows)]}, "environment_dir": str(tmp_path / "none")}
    with pytest.raises(EngineError, match="environment llmcompressor is not installed") as error:
        export(config(model, rows, quantize={"type": "gptq"}, output_dir=str(tmp_path / "out"), **values))
    assert "swift env add llmcompressor" in error.value.hint
    with pytest.raises(EngineError, match="environment llamacpp is not installed"):
        export(config(model, rows, to="gguf", output_dir=str(tmp_path / "out"), **values))


def test_groups_that_do_not_fit_are_told_before_weights(model, tmp_path):
    with pytest.raises(ConfigError, match="does not divide the 64"):
        quantized(model, tmp_path, quantize={"type": "hqq", "group_size": 1024})


def test_the_layout_says_what_it_is(model, tmp_path):
    folder, _ = quantized(model, tmp_path, quantize={"type": "torchao"})
    assert load_config(Located(folder, "folder", "x", None)).quantization_config["quant_method"] == "torchao"
