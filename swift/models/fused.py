"""Norms and gated activations that keep less for the backward pass, for any architecture that has them.

The modules of transformers are written for clarity: a root-mean-square norm keeps three float32 copies of its input
for the backward pass, a gated activation three tensors of the feed-forward width. Here each is one operation that
keeps its input and computes the rest again, which makes more than half of a layer's saved activations go away.

A module is replaced only where it is proved, on random input, to compute what ours computes, bit for bit up to
rounding. Parameters stay the same objects under the same names, so nothing changes for checkpoints.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swift.models.quantize.layers import is_linear, is_quantized, number_type, sizes
from swift.models.recompute import recomputable

_EPSILONS = ("variance_epsilon", "eps", "epsilon")
_ROWS = 5


@dataclass(frozen=True, slots=True)
class Fused:
    """How many modules were replaced."""

    norms: int
    activations: int


def fuse(model: nn.Module) -> Fused:
    """Replace what can be proved equal, in place. Call it before adapters are added."""
    norms = activations = 0
    dtype = number_type(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            norm = _as_norm(child)
            if norm is not None:
                parent.add_module(name, norm)
                norms += 1
            elif _is_gated(child, dtype):
                parent.add_module(name, GatedMlp(child))
                activations += 1
    return Fused(norms, activations)


class RmsNorm(nn.Module):
    """`x / sqrt(mean(x^2) + eps) * (offset + weight)` over the last dimension (arXiv 1910.07467, eq. 4).

    Args:
        weight: [width]; shared with the module that this one replaces.
        eps: Added to the mean square.
        offset: 1 where the weight is kept as a difference from 1 (Gemma), else 0.
        round_first: Whether the normalized input is rounded to its type before the weight is applied.
    """

    def __init__(self, weight: nn.Parameter, eps: float, *, offset: float, round_first: bool) -> None:
        super().__init__()
        self.weight = weight
        self.eps, self.offset, self.round_first = eps, offset, round_first

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        output: Tensor = _RmsNorm.apply(x, self.weight, self.eps, self.offset, self.round_first)
        again = partial(_norm_again, eps=self.eps, offset=self.offset, round_first=self.round_first)
        return recomputable(output, again, x, self.weight)

    def extra_repr(self) -> str:
        """For printing a model."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


class GatedMlp(nn.Module):
    """`down(silu(gate(x)) * up(x))` (SwiGLU, arXiv 2002.05202), with the submodules of the one it replaces."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        layers = dict(mlp.named_children())
        self.gate_proj, self.up_proj, self.down_proj = (layers[name] for name in ("gate_proj", "up_proj", "down_proj"))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        gate, up = self.gate_proj(x), self.up_proj(x)
        gated: Tensor = _GatedSilu.apply(gate, up)
        return torch.as_tensor(self.down_proj(recomputable(gated, _gated_again, gate, up)))


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, offset: float, round_first: bool) -> Tensor:
        output, scale = _normalized(x, weight, eps, offset, round_first)
        ctx.save_for_backward(x, weight, scale)
        ctx.offset = offset
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        (grad,) = grads
        normal = x * scale  # float32, as the scale is; never in place, since others may have kept `x`
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = (grad.float() * normal).flatten(0, -2).sum(0).to(weight.dtype)
        inner = grad.float() * (weight.float() + ctx.offset)
        mean = torch.linalg.vecdot(inner, normal).unsqueeze(-1).div_(x.shape[-1])
        grad_x = inner.addcmul_(normal, mean, value=-1.0).mul_(scale).to(x.dtype)
        return grad_x, grad_weight, None, None, None


def _normalized(x: Tensor, weight: Tensor, eps: float, offset: float, round_first: bool) -> tuple[Tensor, Tensor]:
    """The norm of `x`, and what it was scaled with."""
    wide = x.float()
    scale = torch.linalg.vecdot(wide, wide).unsqueeze(-1).div_(x.shape[-1]).add_(eps).rsqrt_()
    normal = wide * scale
    if round_first:
        return normal.to(x.dtype).mul_(weight), scale
    return normal.mul_(weight.float() + offset).to(x.dtype), scale


def _norm_again(x: Tensor, weight: Tensor, *, eps: float, offset: float, round_first: bool) -> Tensor:
    return _normalized(x, weight, eps, offset, round_first)[0]


def _gated_again(gate: Tensor, up: Tensor) -> Tensor:
    return F.silu(gate).mul_(up)


class _GatedSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        gated: Tensor = F.silu(gate).mul_(up)
        return gated

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        (grad,) = grads
        grad_gate = torch.ops.aten.silu_backward(grad * up, gate)
        return grad_gate, F.silu(gate).mul_(grad)


@torch.no_grad()
def _as_norm(module: nn.Module) -> RmsNorm | None:
    """Our norm in place of `module`, if it is one that ours computes."""
    weight = dict(module.named_parameters()).get("weight")
    values = [value for name, value in vars(module).items() if name in _EPSILONS and isinstance(value, float)]
    plain = weight is not None and weight.ndim == 1 and len(list(module.parameters())) == 1 and len(values) == 1
    if not plain or "RMSNorm" not in type(module).__name__ or list(module.children()):
        return None
    assert isinstance(weight, nn.Parameter)
    if len(inspect.signature(module.forward).parameters) > 1:
        return None  # one that may also be given a gate
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, _ROWS, weight.shape[0], generator=generator).to(weight.device, weight.dtype)
    for offset, round_first in ((0.0, True), (1.0, False), (0.0, False)):
        candidate = RmsNorm(weight, values[0], offset=offset, round_first=round_first)
        if _agree(module, candidate, x):
            return candidate.train(module.training)
    return None


@torch.no_grad()
def _is_gated(module: nn.Module, dtype: torch.dtype) -> bool:
    """Whether `module` is exactly three linear layers around a gated SiLU; `dtype` is what quantized ones take."""
    children = dict(module.named_children())
    layers = [children.get(name) for name in ("gate_proj", "up_proj", "down_proj")]
    if not all(layer is not None and is_linear(layer) for layer in layers):
        return False
    if any(list(child.parameters()) for name, child in children.items() if name not in GATED):
        return False
    if {name for name, _ in module.named_parameters(recurse=False)}:
        return False
    gate = layers[0]
    assert gate is not None
    weight = next(gate.parameters())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, _ROWS, sizes(gate)[0], generator=generator)
    x = x.to(weight.device, dtype if is_quantized(gate) else weight.dtype)
    return _agree(module, GatedMlp(module), x)


GATED = frozenset({"gate_proj", "up_proj", "down_proj"})
"""Names of the layers of a gated feed-forward network, the same in every architecture that has one."""


def _agree(theirs: Callable[[Tensor], Any], ours: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether both give the same for `x`, up to the last bits of its type."""
    try:
        expected = theirs(x)
    except (TypeError, ValueError, RuntimeError):
        return False  # it wants other inputs, so it is another thing
    if not isinstance(expected, Tensor) or expected.shape != x.shape or expected.dtype != x.dtype:
        return False
    bits = 4.0 * torch.finfo(x.dtype).eps
    return bool(((ours(x) - expected).abs() <= bits * expected.abs().clamp_min(1e-3)).all())
