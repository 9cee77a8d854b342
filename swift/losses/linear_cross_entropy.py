"""Cross entropy of a linear output head, without ever holding the full logits matrix.

Loss and gradient are computed together, chunk by chunk, during the forward pass (the idea of fused linear cross
entropy, arXiv 2410.10989, section 3.2): peak memory is one chunk of logits, and no logits are recomputed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_MIB = 1024 * 1024
_FEWEST_ROWS = 64


def chunk_rows(vocabulary: int, device: torch.device, *, trained: bool = False) -> int:
    """Targets whose logits exist at one time: enough for efficient matrix products, few beside the activations.

    Args:
        vocabulary: Logits of one target.
        device: A CPU works fastest where a float32 chunk is not much larger than its caches; an accelerator wants more.
        trained: The head is trained: each chunk then adds to a gradient as large as the head, so chunks are fewer.
    """
    size = 256 if device.type != "cpu" else 64 if trained else 32
    return max(_FEWEST_ROWS, size * _MIB // (4 * vocabulary))


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
        rows = min(max(1, len(hidden)), chunk_rows(weight.shape[0], hidden.device, trained=need_weight))
        # Taken once and used by every chunk: fresh memory of this size costs as much time as the arithmetic in it.
        raw = hidden.new_empty(rows, weight.shape[0])
        wide = raw if raw.dtype == torch.float32 else torch.empty_like(raw, dtype=torch.float32)
        # The gradient's factor of each target: multiplying its d numbers, not its logits, spares a pass over these.
        gain = (weights * options.scale)[:, None]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        correct = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if need_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and need_bias else None
        for begin in range(0, len(hidden), rows):
            chunk = slice(begin, begin + rows)
            size = len(hidden[chunk])
            logits = torch.mm(hidden[chunk], weight.t(), out=raw[:size])
            if bias is not None:
                logits += bias
            if options.with_correct:
                correct += (logits.argmax(-1) == targets[chunk]).sum()
            values = logits if wide is raw else wide[:size].copy_(logits)
            with_grad = need_hidden or need_weight or need_bias
            total += _loss(values, targets[chunk], weights[chunk], options, with_grad=with_grad)
            if not with_grad:
                continue
            grad = values if wide is raw else logits.copy_(values)
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[chunk]).mul_(gain[chunk])
            if grad_weight is not None:
                grad_weight += grad.t() @ (hidden[chunk] * gain[chunk]).to(hidden.dtype)
            if grad_bias is not None:
                grad_bias += torch.mv(values.t(), gain[chunk, 0])
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


def _loss(values: Tensor, targets: Tensor, weights: Tensor, options: _Options, *, with_grad: bool) -> Tensor:
    """Loss sum of one chunk.

    Args:
        values: float32 [n, vocabulary], what the head puts out. With `with_grad` the gradient with respect to it,
            without the factors `scale` and `weights`, takes its place, else nothing of use.
    """
    smoothing, capped = options.smoothing, None
    if options.scale != 1.0:
        values.mul_(options.scale)
    if options.softcap is not None:
        capped = values.div_(options.softcap).tanh_().clone()
        values.mul_(options.softcap)
    log_probs = torch.log_softmax(values, dim=-1, out=values)
    picked = log_probs.gather(1, targets[:, None])[:, 0]
    losses = -picked
    if smoothing > 0.0:
        losses = (1.0 - smoothing) * losses - smoothing * log_probs.mean(-1)
    total = (losses * weights).sum()
    if not with_grad:
        return total
    grad = log_probs.exp_()
    if smoothing > 0.0:
        grad -= smoothing / grad.shape[1]
    grad.scatter_add_(1, targets[:, None], torch.full_like(picked, smoothing - 1.0)[:, None])
    if capped is not None:
        grad *= 1.0 - capped.square_()
    return total
