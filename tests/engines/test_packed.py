"""Packed weights compute the same."""

from __future__ import annotations

import peft
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from swift.config.tuner import BottleneckConfig, ReftConfig
from swift.engines.packed import PackedLinear, can_pack, pack_linears
from swift.models.tiny import tiny_model
from swift.tuners.extra import add_extra

needs_bf16 = pytest.mark.skipif(
    not can_pack(torch.device("cpu"), torch.bfloat16), reason="this CPU has no bfloat16 units"
)


@needs_bf16
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 130])
def test_the_product_is_the_same(bias, rows):
    torch.manual_seed(0)
    linear = nn.Linear(96, 160, bias=bias, dtype=torch.bfloat16)
    x = torch.randn(2, rows, 96, dtype=torch.bfloat16)
    with torch.inference_mode():
        expected = linear.double()(x.double())
        found = PackedLinear(linear.bfloat16())(x)
    assert found.shape == (2, rows, 160)
    assert torch.allclose(found.double(), expected, atol=0.02, rtol=0.02)


@needs_bf16
def test_a_packed_model_gives_the_same_logits():
    model = tiny_model(hidden_size=128, intermediate_size=256).bfloat16()
    ids = torch.randint(0, 300, (2, 17), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model(input_ids=ids).logits.float()
        assert pack_linears(model) > 10
        after = model(input_ids=ids).logits.float()
    assert not any(type(layer) is nn.Linear and layer.weight.numel() >= 4096 for layer in model.modules())
    assert float((after - before).norm() / before.norm()) < 0.02


@needs_bf16
@pytest.mark.parametrize("dora", [False, True])
def test_adapters_go_on_working(dora):
    tuned = get_peft_model(
        tiny_model(hidden_size=128), LoraConfig(r=4, target_modules=["q_proj"], use_dora=dora, init_lora_weights=False)
    )
    model = tuned.base_model.model.bfloat16()
    ids = torch.randint(0, 300, (1, 9), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model(input_ids=ids).logits.float()
        pack_linears(model)
        after = model(input_ids=ids).logits.float()
    kinds = {type(model.get_submodule(name)) for name, _ in model.named_modules() if name.endswith("base_layer")}
    assert kinds == {nn.Linear if dora else PackedLinear}
    assert float((after - before).norm() / before.norm()) < 0.02


def test_single_precision_is_left_alone():
    model = tiny_model(hidden_size=128)
    assert pack_linears(model) == 0
    assert not can_pack(torch.device("cpu"), torch.float32)


PEFT = {
    "ia3": lambda: peft.IA3Config(target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "vera": lambda: peft.VeraConfig(r=8, target_modules=["q_proj"]),
    "boft": lambda: peft.BOFTConfig(boft_block_size=8, target_modules=["q_proj"]),
    "oft": lambda: peft.OFTConfig(oft_block_size=16, target_modules=["q_proj"]),
    "fourierft": lambda: peft.FourierFTConfig(n_frequency=50, target_modules=["q_proj"]),
    "loha": lambda: peft.LoHaConfig(r=4, target_modules=["q_proj"]),
    "lokr": lambda: peft.LoKrConfig(r=4, target_modules=["q_proj"]),
    "miss": lambda: peft.MissConfig(r=8, init_weights="bat", target_modules=["q_proj"]),
    "hra": lambda: peft.HRAConfig(r=4, target_modules=["q_proj"]),
    "rank": lambda: LoraConfig(r=4, alora_invocation_tokens=[5, 6], target_modules=["q_proj"]),
}


@needs_bf16
@pytest.mark.parametrize("method", PEFT)
def test_no_adapter_is_lost_or_broken(method):
    torch.manual_seed(0)
    tuned = get_peft_model(tiny_model(hidden_size=128), PEFT[method]())
    for name, parameter in tuned.named_parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
            assert tuned.base_model.prefix in name
    model = tuned.bfloat16().eval()
    _packs_to_the_same(model, model.base_model.model)


@needs_bf16
@pytest.mark.parametrize("config", [BottleneckConfig(width=16), BottleneckConfig(width=64), ReftConfig(rank=4)])
def test_hooks_go_on_working(config):
    torch.manual_seed(0)
    model = tiny_model(hidden_size=128, intermediate_size=256)
    extra = add_extra(model, config)
    for parameter in extra.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    model.bfloat16().eval()
    _packs_to_the_same(model, model)


def _packs_to_the_same(model, packed):
    ids = torch.randint(0, 300, (1, 9), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model(input_ids=ids).logits.float()
        pack_linears(packed)
        after = model(input_ids=ids).logits.float()
    assert float((after - before).norm() / before.norm()) < 0.02
