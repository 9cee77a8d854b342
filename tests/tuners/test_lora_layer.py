"""Our fused LoRA layer against PEFT's own."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor, nn

from swift.tuners.lora_layer import LoraLinear


class Block(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.one = nn.Linear(12, 20, bias=bias)
        self.two = nn.Linear(20, 7, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.two(torch.tanh(self.one(x))))


def _pair(bias: bool = True, **options: object) -> tuple[nn.Module, nn.Module]:
    """The same adapter twice: with our layer and with PEFT's."""
    torch.manual_seed(0)
    base = Block(bias)
    tuned = []
    for ours in (True, False):
        config = LoraConfig(r=4, lora_alpha=6, target_modules=["one", "two"], init_lora_weights=False, **options)  # type: ignore[arg-type]
        if ours:
            config._register_custom_module({nn.Linear: LoraLinear})
        torch.manual_seed(1)
        tuned.append(get_peft_model(copy.deepcopy(base), config))
    tuned[1].load_state_dict(tuned[0].state_dict())
    return tuned[0], tuned[1]


def _gradients(model: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    x = x.clone().requires_grad_()
    output = model(x)
    output.square().sum().backward()
    assert x.grad is not None
    return output, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, x.grad


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 12)])
def test_equals_peft(bias: bool, shape: tuple[int, ...]) -> None:
    ours, theirs = _pair(bias)
    assert type(ours.base_model.model.one) is LoraLinear  # type: ignore[union-attr]
    assert type(theirs.base_model.model.one) is PeftLinear  # type: ignore[union-attr]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    mine, wanted = _gradients(ours, x), _gradients(theirs, x)
    torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-5)
    assert len(mine[1]) == 4


def test_base_weight_can_be_trained_too() -> None:
    ours, theirs = _pair()
    for model in (ours, theirs):
        for parameter in model.parameters():
            parameter.requires_grad_(True)
    x = torch.randn(5, 12)
    torch.testing.assert_close(_gradients(ours, x), _gradients(theirs, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"use_rslora": True}, {"lora_bias": True}])
def test_variants_are_pefts(options: dict[str, bool]) -> None:
    ours, theirs = _pair(**options)
    x = torch.randn(5, 12)
    torch.testing.assert_close(_gradients(ours, x), _gradients(theirs, x), atol=1e-5, rtol=1e-5)


def test_dropout_draws_the_same_numbers() -> None:
    ours, theirs = _pair(lora_dropout=0.5)
    x = torch.randn(5, 12)
    results = []
    for model in (ours, theirs):
        torch.manual_seed(7)
        results.append(_gradients(model, x))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


def test_disabled_merged_and_unmerged() -> None:
    ours, _ = _pair()
    x = torch.randn(5, 12)
    active = ours(x)
    with ours.disable_adapter():  # type: ignore[operator]
        bare = ours(x)
    assert not torch.allclose(active, bare, atol=1e-3)
    ours.merge_adapter()  # type: ignore[operator]
    torch.testing.assert_close(ours(x), active, atol=1e-5, rtol=1e-5)
    ours.unmerge_adapter()  # type: ignore[operator]
    torch.testing.assert_close(ours(x), active, atol=1e-5, rtol=1e-5)


def test_float32_adapter_on_bfloat16_weights_gets_float32_gradients() -> None:
    ours, theirs = _pair()
    x = torch.randn(64, 12)
    wanted = _gradients(theirs, x)
    for module in (ours.base_model.model.one, ours.base_model.model.two):  # type: ignore[union-attr]
        module.base_layer.to(torch.bfloat16)  # type: ignore[union-attr, operator]
    output, gradients, _ = _gradients(ours, x.to(torch.bfloat16))
    assert output.dtype == torch.bfloat16
    for name, gradient in gradients.items():
        assert gradient.dtype == torch.float32
        distance = (gradient - wanted[1][name]).norm() / wanted[1][name].norm()
        assert distance < 0.03


def test_the_output_may_be_written_to() -> None:
    ours, _ = _pair()
    x = torch.randn(2, 3, 12, requires_grad=True)
    output = ours.base_model.model.one(x)
    output += 1.0
    output.sum().backward()
    assert x.grad is not None
    assert torch.any(x.grad != 0)
