"""Fused norms and activations: the same numbers and gradients as the architecture's own, in every one that has them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from swift.models.fused import GatedMlp, RmsNorm, fuse
from swift.models.tiny import tiny_model

WITH_NORMS = {
    **dict.fromkeys(["llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text", "phi3", "granite"], True),
    **dict.fromkeys(["olmo2", "smollm3", "glm4", "deepseek_v3", "qwen3_moe", "gpt_oss", "exaone4"], True),
    **dict.fromkeys(["gpt2", "gpt_neox", "opt", "bloom"], False),
}
WITH_GATES = ["llama", "qwen2", "qwen3", "mistral", "granite", "olmo2", "smollm3", "exaone4"]


def _gradients(model: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    ids = torch.arange(3, 40)[None]
    logits = model(ids).logits
    logits.float().square().mean().backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), found


@pytest.mark.parametrize("name", list(WITH_NORMS))
def test_whole_models(name: str) -> None:
    theirs = tiny_model(name)
    # Norm weights of 1 would hide a mistake.
    generator = torch.Generator().manual_seed(1)
    for parameter_name, parameter in theirs.named_parameters():
        if parameter.ndim == 1 and "norm" in parameter_name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    ours = copy.deepcopy(theirs)
    fused = fuse(ours)
    assert (fused.norms > 0) == WITH_NORMS[name]
    if name in WITH_GATES:
        assert fused.activations > 0
    assert list(ours.state_dict()) == list(theirs.state_dict())
    mine, expected = _gradients(ours), _gradients(theirs)
    torch.testing.assert_close(mine[0], expected[0], atol=1e-5, rtol=1e-4)
    assert mine[1].keys() == expected[1].keys()
    for key, value in expected[1].items():
        torch.testing.assert_close(mine[1][key], value, atol=1e-5, rtol=1e-3, msg=key)


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_bfloat16_is_as_good_as_theirs(name: str) -> None:
    """Compared with float32, our gradient is no further off than theirs."""
    exact = tiny_model(name)
    reference = _gradients(copy.deepcopy(exact))[1]
    theirs = copy.deepcopy(exact).bfloat16()
    ours = copy.deepcopy(theirs)
    assert fuse(ours).norms > 0
    errors = []
    for model in (ours, theirs):
        found = _gradients(model)[1]
        errors.append(
            sum(float((found[k].float() - v).norm() / v.norm()) for k, v in reference.items() if v.norm() > 0)
        )
    assert errors[0] <= 1.1 * errors[1]


def test_other_things_are_left_alone() -> None:
    class OtherRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))
            self.eps = 1e-6

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight * 1.5

    class OtherMlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate_proj, self.up_proj, self.down_proj = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.down_proj(torch.relu(self.gate_proj(x)) * self.up_proj(x)))

    model = nn.ModuleDict({"norm": OtherRMSNorm(), "mlp": OtherMlp()})
    fused = fuse(model)
    assert (fused.norms, fused.activations) == (0, 0)
    assert not [m for m in model.modules() if isinstance(m, RmsNorm | GatedMlp)]


def test_the_input_stays_as_it_is() -> None:
    x = torch.randn(2, 3, 8, requires_grad=True)
    kept = x.detach().clone()
    norm = RmsNorm(nn.Parameter(torch.ones(8)), 1e-6, offset=0.0, round_first=True)
    norm(x).sum().backward()
    assert torch.equal(x.detach(), kept)


@pytest.mark.parametrize("name", ["bamba", "granitemoehybrid", "zamba2"])
def test_gated_norms_are_not_plain_ones(name: str) -> None:
    model = tiny_model(name)
    expected = model(torch.arange(3, 12)[None]).logits
    fuse(model)
    torch.testing.assert_close(model(torch.arange(3, 12)[None]).logits, expected)
