"""Adam-mini (arXiv 2406.16793): one second moment for each block of weights that share a curvature."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from swift.train.optimizers.spec import Group, Groups

_BY_HEAD = re.compile(r"(^|\.)(q_proj|k_proj|query|key|wq|wk)\.")


class AdamMini(torch.optim.Optimizer):
    """AdamW whose second moment is a mean over blocks, so that it takes no memory to speak of.

    A block is a head of a query or key projection, a row of any other matrix (a neuron, or a token of embeddings and
    output head), or a whole vector.

    Args:
        groups: Named parameters.
        lr: Rate.
        betas: Decay of the first moment, and of the blocks' second.
        eps: Added to the denominator.
        weight_decay: Decoupled.
        head_dim: Rows of a head; 0 makes every row of queries and keys a block.
    """

    def __init__(
        self,
        groups: list[Group],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        head_dim: int = 0,
    ) -> None:
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1):
            raise ValueError(f"betas must be at least 0 and less than 1, not {betas}")
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.head_dim = head_dim

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for name, p in zip(group["param_names"], group["params"], strict=True):
                if p.grad is not None:
                    self._update(name, p, p.grad.float(), group)

    def _update(self, name: str, p: Tensor, gradient: Tensor, group: Group) -> None:
        state = self.state[p]
        blocks = self._blocks(name, p)
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros(blocks, device=p.device)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].lerp_(gradient.view(blocks, -1).square().mean(1), 1 - beta2)
        root = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        update = state["exp_avg"].view(blocks, -1) / root.unsqueeze(1)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(update.view(p.shape).to(p.dtype), alpha=-group["lr"] / (1 - beta1 ** state["step"]))

    def _blocks(self, name: str, p: Tensor) -> int:
        if p.ndim < 2:
            return 1
        if self.head_dim and _BY_HEAD.search(name) and p.shape[0] % self.head_dim == 0:
            return p.shape[0] // self.head_dim
        return p.shape[0]


def adam_mini(
    groups: Groups,
    *,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.1,
) -> AdamMini:
    """Adam-mini with the heads of the model at hand."""
    return AdamMini(groups.groups, groups.lr, betas=betas, eps=eps, weight_decay=weight_decay, head_dim=groups.head_dim)
