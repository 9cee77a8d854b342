"""Packed weights compute the same."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from swift.engines.packed import PackedLinear, can_pack, pack_linears
from swift.models.tiny import tiny_model

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
