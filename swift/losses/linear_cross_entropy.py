"""Cross entropy of a linear output head, without ever holding the full logits matrix.

Loss and gradient are computed together, chunk by chunk, during the forward pass (the idea of fused linear cross
entropy, arXiv 2410.10989, section 3.2): peak memory is one chunk of logits, and no logits are recomputed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 64 * 1024 * 1024
"""Size of a float32 chunk of logits: large enough for efficient matrix products, small beside the activations."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    softcap: float | None = None,
    smoothing: float = 0.0,
    with_correct: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Weighted sum of the cross entropies of `softcap(scale * (hidden weight' + bias))`.

    With smoothing s the target distribution is `(1 - s)` on the target plus `s / vocabulary` on every token.

    Args:
        hidden: [n, d], the states that predict the targets.
        weight: [vocabulary, d], the output head.
        targets: int64 [n].
        weights: float32 [n], weight of each target.
        with_correct: Count how many targets are the likeliest token (one more pass over the logits).

    Returns:
        The sum, float32 scalar; and the number of correct targets, or None.
    """
    options = _Options(scale, softcap, smoothing, with_correct)
    total, correct = _LinearCrossEntropy.apply(hidden, weight, bias, targets, weights, options)
    return total, correct if with_correct else None


class _Options:
    __slots__ = ("scale", "smoothing", "softcap", "with_correct")

    def __init__(self, scale: float, softcap: float | None, smoothing: float, with_correct: bool) -> None:
        self.scale, self.softcap, self.smoothing, self.with_correct = scale, softcap, smoothing, with_correct


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
        options: _Options,
    ) -> tuple[Tensor, Tensor]:
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        rows = max(1, CHUNK_BYTES // (4 * weight.shape[0]))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        correct = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if need_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and need_bias else None
        for begin in range(0, len(hidden), rows):
            chunk = slice(begin, begin + rows)
            raw = hidden[chunk] @ weight.t()
            if bias is not None:
                raw = raw + bias
            loss, hits, grad = _chunk(raw, targets[chunk], weights[chunk], options, any(ctx.needs_input_grad[:3]))
            total += loss
            correct += hits
            if grad is None:
                continue
            grad = grad.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[chunk])
            if grad_weight is not None:
                grad_weight += grad.t() @ hidden[chunk]
            if grad_bias is not None:
                grad_bias += grad.sum(0, dtype=torch.float32)
        ctx.types = (weight.dtype, None if bias is None else bias.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(correct)
        return total, correct

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        factor = grads[0]
        return (
            # In float32: a factor rounded to 16 bit would scale every gradient wrongly.
            None if grad_hidden is None else (grad_hidden.float() * factor).to(grad_hidden.dtype),
            None if grad_weight is None else (grad_weight * factor).to(ctx.types[0]),
            None if grad_bias is None else (grad_bias * factor).to(ctx.types[1]),
            None,
            None,
            None,
        )


def _chunk(
    raw: Tensor, targets: Tensor, weights: Tensor, options: _Options, with_grad: bool
) -> tuple[Tensor, Tensor | float, Tensor | None]:
    """Loss sum, hits, and the gradient with respect to the head's output, for one chunk."""
    hits: Tensor | float = 0.0
    if options.with_correct:
        hits = (raw.argmax(-1) == targets).sum(dtype=torch.float32)
    capped = None
    if options.scale != 1.0:
        raw = raw * options.scale
    if options.softcap is not None:
        capped = torch.tanh(raw.float() / options.softcap)
        raw = capped * options.softcap
    log_probs = torch.log_softmax(raw, dim=-1, dtype=torch.float32)
    del raw
    picked = log_probs.gather(1, targets[:, None])[:, 0]
    smoothing = options.smoothing
    losses = -picked
    if smoothing > 0.0:
        losses = (1.0 - smoothing) * losses - smoothing * log_probs.mean(-1)
    total = (losses * weights).sum()
    if not with_grad:
        return total, hits, None
    grad = log_probs.exp_()
    if smoothing > 0.0:
        grad -= smoothing / grad.shape[1]
    grad.scatter_add_(1, targets[:, None], torch.full_like(picked, smoothing - 1.0)[:, None])
    grad *= weights[:, None] * options.scale
    if capped is not None:
        grad *= 1.0 - capped.square()
    return total, hits, grad
