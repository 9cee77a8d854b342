"""Losses over single tokens, by name. Cross entropy has a fused form; others are plain functions of logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from swift.losses.linear_cross_entropy import chunk_rows
from swift.registry import Registry

TokenLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(float32 logits [n, vocabulary], int64 targets [n], float32 weights [n]) -> scalar sum, differentiable."""

token_losses: Registry[TokenLoss] = Registry(
    "loss", {"focal": "swift.losses.token:focal", "cross_entropy": "swift.losses.token:cross_entropy"}
)
"""All losses; a plugin adds one with `@token_losses.register("name")`."""


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """The plain form, for heads that have no fused one."""
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    return (losses * weights).sum()


def focal(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss (arXiv 1708.02002, eq. 4): `-(1 - p)^gamma log p`, which leans on tokens still predicted badly."""
    log_p = torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]
    return (-((1.0 - log_p.exp()) ** gamma) * log_p * weights).sum()


def chunked_loss(
    logits_of: Callable[[Tensor], Tensor],
    hidden: Tensor,
    targets: Tensor,
    weights: Tensor,
    loss: TokenLoss,
    *,
    vocabulary: int,
) -> Tensor:
    """Apply any token loss in chunks, recomputing each chunk's logits in the backward pass.

    Args:
        logits_of: The output head: [k, d] -> [k, vocabulary].
        hidden: [n, d].
    """
    rows = chunk_rows(vocabulary, hidden.device)

    def one(part: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
        return loss(logits_of(part).float(), wanted, weight)

    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    for begin in range(0, len(hidden), rows):
        chunk = slice(begin, begin + rows)
        total = total + checkpoint(one, hidden[chunk], targets[chunk], weights[chunk], use_reentrant=False)
    return total
