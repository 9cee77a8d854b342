"""LoRA's linear layer as one differentiable operation.

PEFT owns the adapter (initialisation, variants, saving, merging); this layer only replaces how the plain case is
computed. PEFT's own forward makes six operations and several full-size temporaries of it, and computes in the
adapter's float32; here it is one node in the graph that saves the input once, computes in the model's type, and
gives float32 gradients to the float32 adapter.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor


class LoraLinear(PeftLinear):
    """PEFT's LoRA layer over `nn.Linear`, with a fused forward and backward for plain, active, unmerged adapters.

    Everything else (DoRA and other variants, several adapters at once, merged or disabled ones) is PEFT's.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] -> [..., out]; equal to PEFT's layer up to rounding."""
        active = self.active_adapters
        if self.disable_adapters or self.merged or args or kwargs or len(active) != 1 or not x.is_floating_point():
            return super().forward(x, *args, **kwargs)
        name = active[0]
        if name not in self.lora_A or name in self.lora_variant or self.lora_B[name].bias is not None:
            return super().forward(x)
        base = self.get_base_layer()
        down, up, scale = self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        dropout = self.lora_dropout[name]
        if self.training and isinstance(dropout, torch.nn.Dropout) and dropout.p > 0.0:
            update: Tensor = _LowRank.apply(dropout(x), down, up, scale)
            plain: Tensor = base(x)
            return plain + update
        fused: Tensor = _FusedLora.apply(x, base.weight, base.bias, down, up, scale)
        return fused


class _FusedLora(torch.autograd.Function):
    """`x W' + b + scale * (x A') B'` (arXiv 2106.09685, eq. 3). The base weight may itself be trained."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        a, b = down.to(x.dtype), up.to(x.dtype)
        inner = rows @ a.t()
        out = F.linear(rows, weight, bias)
        out.addmm_(inner, b.t(), alpha=scale)
        ctx.save_for_backward(rows, weight, inner, a, b)
        ctx.scale, ctx.shape, ctx.has_bias = scale, x.shape, bias is not None
        ctx.adapter_type = down.dtype
        # Not a view in autograd's eyes: architectures may add to it in place.
        whole: Tensor = torch.ops.aten._unsafe_view(out, (*x.shape[:-1], out.shape[-1]))
        return whole

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, inner, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        grad_x = grad_weight = grad_bias = grad_a = grad_b = None
        grad_inner = _through(grad, b).mul_(ctx.scale)
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight
            grad_x.addmm_(grad_inner, a)
            grad_x = grad_x.view(ctx.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = grad.t() @ rows
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad.sum(0)
        if ctx.needs_input_grad[3]:
            grad_a = (grad_inner.t() @ rows).to(ctx.adapter_type)
        if ctx.needs_input_grad[4]:
            grad_b = (inner.t() @ grad).t().to(ctx.adapter_type).mul_(ctx.scale)
        return grad_x, grad_weight, grad_bias, grad_a, grad_b, None


class _LowRank(torch.autograd.Function):
    """`scale * (x A') B'` alone, for inputs that went through dropout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        a, b = down.to(x.dtype), up.to(x.dtype)
        inner = rows @ a.t()
        ctx.save_for_backward(rows, inner, a, b)
        ctx.scale, ctx.shape, ctx.adapter_type = scale, x.shape, down.dtype
        return (inner @ b.t()).mul_(scale).view(*x.shape[:-1], b.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        grad_inner = _through(grad, b).mul_(ctx.scale)
        grad_x = (grad_inner @ a).view(ctx.shape) if ctx.needs_input_grad[0] else None
        grad_a = (grad_inner.t() @ rows).to(ctx.adapter_type)
        grad_b = (inner.t() @ grad).t().to(ctx.adapter_type).mul_(ctx.scale)
        return grad_x, grad_a, grad_b, None


def _through(grad: Tensor, up: Tensor) -> Tensor:
    """`grad @ up`, [n, out] and [out, rank], as a linear layer: BLAS is slow where the short side is strided."""
    return F.linear(grad, up.t().contiguous())
