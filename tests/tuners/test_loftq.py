"""LoftQ: what the adapter begins with, and that it trains, is loaded by plain PEFT and goes on bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from swift.api import sft
from swift.config.rules import find
from swift.config.tuner import LoraConfig
from swift.errors import ConfigError
from swift.models.tiny import save_tiny
from swift.tuners.build import Start, tune
from swift.tuners.lora import Look
from tests.train.runs import configure, write_rows
from tests.train.test_quantized import adapter, configured, drop_after, losses

pytest.importorskip("bitsandbytes")


def quantized(folder: Path) -> PreTrainedModel:
    options = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=options, dtype=torch.float32, device_map={"": "cpu"}
    )
    return loaded


def lora_layers(tuned: nn.Module) -> dict[str, Any]:
    found = {n: m for n, m in tuned.named_modules() if "lora_A" in dict(m.named_children())}
    return {name.removeprefix("base_model.model."): module for name, module in found.items()}


def inputs_of(model: nn.Module, ids: Tensor) -> dict[str, Tensor]:
    """What each linear layer is given: [tokens, in]."""
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(
            lambda _, inputs, __, name=name: seen.update({name: inputs[0].detach().flatten(0, 1)})
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    model(ids)
    for handle in handles:
        handle.remove()
    return seen


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), hidden_size=64, intermediate_size=128)


@pytest.mark.parametrize("shards", ["5GB", "100KB"])
def test_the_adapter_begins_as_the_leading_part_of_what_was_rounded_off(
    shards: str, model: Path, tmp_path: Path
) -> None:
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(tmp_path, max_shard_size=shards)
    plain = dict(AutoModelForCausalLM.from_pretrained(model).named_parameters())
    config = LoraConfig(rank=8, alpha=4, init="loftq")
    tuned = tune(quantized(model), config, Start(weights=tmp_path)).model
    layers = lora_layers(tuned)
    assert layers
    for name, layer in layers.items():
        wanted = plain[f"{name}.weight"] - dequantize_module_weight(layer.get_base_layer())
        made = layer.get_delta_weight("default")
        values = torch.linalg.svdvals(wanted)
        # Eckart and Young: no matrix of this rank is nearer.
        torch.testing.assert_close(
            torch.linalg.norm(wanted - made), values[8:].square().sum().sqrt(), rtol=1e-4, atol=0
        )
        assert torch.linalg.norm(wanted - made) < torch.linalg.norm(wanted)


def test_with_rows_no_adapter_of_its_rank_brings_outputs_nearer(model: Path) -> None:
    plain = dict(AutoModelForCausalLM.from_pretrained(model).named_parameters())
    base = quantized(model)
    ids = torch.randint(0, base.config.vocab_size, (1, 64), generator=torch.Generator().manual_seed(0))
    look = Look(forward=[lambda: base(ids) and None], backward=lambda: None)
    seen = inputs_of(base, ids)
    tuned = tune(base, LoraConfig(rank=8, alpha=4, init="qera"), Start(weights=model, look=lambda: look)).model
    for name, layer in lora_layers(tuned).items():
        error = plain[f"{name}.weight"].detach() - dequantize_module_weight(layer.get_base_layer())
        sizes = seen[name].square().mean(0).sqrt()
        made = layer.get_delta_weight("default").detach()
        values = torch.linalg.svdvals(error * sizes)
        torch.testing.assert_close(
            torch.linalg.norm((error - made) * sizes), values[8:].square().sum().sqrt(), rtol=1e-3, atol=0
        )


@pytest.mark.parametrize(
    ("quantization", "init"), [({"type": "bnb"}, "loftq"), ({"type": "bnb"}, "qera"), ({"type": "hqq"}, "qera")]
)
def test_it_trains_and_goes_on_to_the_bit(quantization: dict[str, str], init: str, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("hqq")
    rows = write_rows(tmp_path / "rows.jsonl", 37)
    tuner = {"type": "lora", "rank": 4, "init": init}
    whole = sft(configured(model, rows, tmp_path / "whole", quantization, tuner=tuner))
    assert sum(losses(whole)[-3:]) < sum(losses(whole)[:3]) - 0.3
    shutil.copytree(whole, tmp_path / "again", symlinks=True)
    drop_after(tmp_path / "again", 8)
    onward = {"every": 8, "limit": 5, "resume": "last"}
    again = sft(configured(model, rows, tmp_path / "again", quantization, tuner=tuner, checkpoint=onward))
    expected = adapter(whole)
    assert all(torch.equal(value, expected[key]) for key, value in adapter(again).items())
    if quantization["type"] == "hqq":
        return  # transformers does not load it, so plain PEFT has nothing to stand on
    loaded = PeftModel.from_pretrained(quantized(model), str(whole / "last"))
    found = dict(loaded.named_parameters())
    for key, value in expected.items():
        assert torch.equal(found[key.replace(".weight", ".default.weight")], value)


def test_it_is_refused_where_there_is_nothing_to_make_up_for(model: Path, tmp_path: Path) -> None:
    config = configure(model, tmp_path, tmp_path / "run", tuner={"type": "lora", "init": "loftq"})
    assert [problem.where for problem in find(config)] == ["--init_weights"]
    plain = AutoModelForCausalLM.from_pretrained(model)
    with pytest.raises(ConfigError, match="no layer with an adapter is quantized"):
        tune(plain, LoraConfig(init="loftq"), Start(weights=model))
