from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from swift.errors import ModelError
from swift.models.structure import (
    HeadTransform,
    decoder_layers,
    head_is_tied,
    head_transform,
    input_embeddings,
    language_model,
    linear_layer_names,
    output_head,
)
from swift.models.tiny import tiny_model
from tests.models.zoo import ARCHITECTURES, ids


@pytest.mark.parametrize("model_type", ARCHITECTURES)
@torch.no_grad()
def test_parts_give_the_models_own_logits(model_type: str) -> None:
    model = tiny_model(model_type)
    transform = head_transform(model)
    assert transform is not None
    states = language_model(model)(input_ids=ids(), use_cache=False).last_hidden_state
    logits = model(input_ids=ids(), use_cache=False).logits
    torch.testing.assert_close(transform(output_head(model)(states)), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_layers_and_linear_layers(model_type: str) -> None:
    model = tiny_model(model_type)
    layers = decoder_layers(model)
    assert len(layers) == model.config.get_text_config().num_hidden_layers
    names = linear_layer_names(model)
    modules = dict(model.named_modules())
    assert len(names) == len(set(names)) >= len(layers)
    assert all(isinstance(modules[name], (nn.Linear, Conv1D)) for name in names)
    assert output_head(model) not in [modules[name] for name in names]
    inside = {id(module) for layer in layers for module in layer.modules()}
    assert sum(id(modules[name]) in inside for name in names) >= len(layers)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", ["llama", "gemma2", "opt", "gpt2"])
def test_tied_heads(model_type: str, tied: bool) -> None:
    model = tiny_model(model_type, tie_word_embeddings=tied)
    assert head_is_tied(model) is tied
    assert input_embeddings(model) is model.get_input_embeddings()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("model_type", "fields", "expected"),
    [
        ("llama", {}, HeadTransform()),
        ("gemma2", {}, HeadTransform(softcap=30.0)),
        ("gemma3_text", {"final_logit_softcapping": 50.0}, HeadTransform(softcap=50.0)),
        ("granite", {"logits_scaling": 8.0}, HeadTransform(scale=0.125)),
        ("cohere", {"logit_scale": 0.0833}, HeadTransform(scale=0.0833)),
        ("nanochat", {}, HeadTransform(softcap=15.0)),
        ("minicpm3", {}, HeadTransform(scale=4.0)),
    ],
)
def test_head_transform(model_type: str, fields: dict[str, float], expected: HeadTransform, dtype: torch.dtype) -> None:
    assert head_transform(tiny_model(model_type, **fields).to(dtype)) == expected


@pytest.mark.parametrize("model_type", ["bert", "modernbert-decoder"])
def test_no_transform_where_more_stands_between(model_type: str) -> None:
    assert head_transform(tiny_model(model_type)) is None


def test_measuring_leaves_no_trace() -> None:
    model = tiny_model("gemma2").train()
    before = model.state_dict()
    model.train()
    head_transform(model)
    assert model.training
    assert not language_model(model)._forward_hooks
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_routers_are_not_linear_layers_to_adapt() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(64, 4)
            self.gate_proj = nn.Linear(64, 96)

    model = tiny_model("mixtral")
    decoder_layers(model)[0].add_module("extra", Block())
    names = [name for name in linear_layer_names(model) if "extra" in name]
    assert names == ["model.layers.0.extra.gate_proj"]


def test_state_space_output_is_left_out_and_delta_net_output_is_not() -> None:
    assert not [name for name in linear_layer_names(tiny_model("mamba")) if name.endswith("out_proj")]
    assert [name for name in linear_layer_names(tiny_model("qwen3_next")) if name.endswith("out_proj")]


def test_linear_layers_that_compute_something_else_are_left_out() -> None:
    assert [name for name in linear_layer_names(tiny_model("falcon")) if name.endswith("dense")]  # its own plain class
    grouped = [name for name, layer in tiny_model("deepseek_v4").named_modules() if "Grouped" in type(layer).__name__]
    assert grouped
    assert not set(grouped) & set(linear_layer_names(tiny_model("deepseek_v4")))


def test_towers_are_left_out() -> None:
    model = tiny_model("gemma3")
    vision = [name for name, module in model.named_modules() if "vision" in name and isinstance(module, nn.Linear)]
    assert vision
    assert not set(vision) & set(linear_layer_names(model))


def test_the_same_parts_inside_peft() -> None:
    from peft import LoraConfig, get_peft_model

    model = tiny_model()
    inner, layers = language_model(model), decoder_layers(model)
    tuned = get_peft_model(model, LoraConfig(target_modules=linear_layer_names(model)))
    assert language_model(tuned.get_base_model()) is inner
    assert decoder_layers(tuned.get_base_model()) is layers


def test_a_bare_decoder_is_refused() -> None:
    with pytest.raises(ModelError, match="no inner decoder"):
        language_model(tiny_model().get_decoder())
    with pytest.raises(ModelError, match="no output head"):
        output_head(tiny_model().get_decoder())
