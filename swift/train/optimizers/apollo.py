"""APOLLO (arXiv 2412.05270): the rate of each channel from a random projection of its gradient."""

from __future__ import annotations

import zlib
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from swift.train.optimizers.grouping import ATTENTION_AND_FEED_FORWARD, low_rank
from swift.train.optimizers.spec import Group, Groups

_GROWTH = 1.01
"""The norm of an update is at most so many times that of the last one (arXiv 2410.01623, section 3.3)."""


class Apollo(torch.optim.Optimizer):
    """AdamW for what is not projected. Else the gradient itself, scaled as Adam scales its projection.

    A gradient [m, n] is projected along its shorter side by a random matrix of `rank` rows. Each channel along its
    longer side (or the whole matrix) is scaled by how much larger Adam's update of the projection is than the
    projection (algorithm 1).

    Args:
        groups: Named parameters; those of groups with a `rank` and an `update_proj_gap` are projected.
        lr: Rate.
        betas: Decay of the moments.
        eps: Added to the denominator.
        weight_decay: Decoupled.
        scale: Updates are multiplied by its square root.
        scale_type: What has a scale of its own.
    """

    def __init__(
        self,
        groups: list[Group],
        lr: float,
        *,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        scale: float,
        scale_type: Literal["channel", "tensor"],
    ) -> None:
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1):
            raise ValueError(f"betas must be at least 0 and less than 1, not {betas}")
        if scale_type not in ("channel", "tensor"):
            raise ValueError(f"scale_type must be channel or tensor, not {scale_type!r}")
        if not scale > 0:
            raise ValueError(f"scale must be above 0, not {scale}")
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.scale = scale
        self.scale_type = scale_type

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for name, p in zip(group["param_names"], group["params"], strict=True):
                if p.grad is None:
                    continue
                gradient = p.grad.float()
                update = self._scaled(name, p, gradient, group) if "rank" in group else self._adam(p, gradient, group)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.to(p.dtype), alpha=-group["lr"])

    def _adam(self, p: Tensor, gradient: Tensor, group: Group) -> Tensor:
        """Adam's direction for this gradient, or for a projection of it."""
        state = self.state[p]
        if "exp_avg" not in state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - beta2)
        root = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        direction: Tensor = state["exp_avg"] / (1 - beta1 ** state["step"]) / root
        return direction

    def _scaled(self, name: str, p: Tensor, gradient: Tensor, group: Group) -> Tensor:
        """The gradient, scaled by channel or as a whole, and kept from growing too fast."""
        state = self.state[p]
        wide = gradient.shape[0] <= gradient.shape[1]
        taken = state.get("step", 0)
        if taken % group["update_proj_gap"] == 0:
            state["projection"] = _random(name, taken, group["rank"], min(gradient.shape)).to(gradient.device)
        projection = state["projection"]
        small = projection @ gradient if wide else gradient @ projection.T
        direction = self._adam(p, small, group)
        axis: Any = (0 if wide else 1) if self.scale_type == "channel" else (0, 1)
        factor = direction.norm(dim=axis, keepdim=True) / small.norm(dim=axis, keepdim=True).add_(1e-8)
        update: Tensor = gradient * factor
        norm = update.norm()
        if "norm" in state:
            limit = _GROWTH * state["norm"]
            update *= (limit / norm.clamp_min(1e-12)).clamp_max(1.0)
            norm = torch.minimum(norm, limit)
        state["norm"] = norm
        return update.mul_(self.scale**0.5)


def _random(name: str, number: int, rank: int, width: int) -> Tensor:
    """A projection [rank, width] that keeps norms on average: the same in every process, and not drawn from theirs."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{name} {number}".encode()))
    drawn: Tensor = torch.randn(rank, width, generator=generator) / rank**0.5
    return drawn


def apollo(
    groups: Groups,
    *,
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    scale_type: Literal["channel", "tensor"] = "channel",
    targets: str = ATTENTION_AND_FEED_FORWARD,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.1,
) -> Apollo:
    """APOLLO over the matrices that `targets` finds, where they are larger than the rank both ways."""
    if rank < 1 or update_proj_gap < 1:
        raise ValueError(f"rank and update_proj_gap must be at least 1, not {rank} and {update_proj_gap}")
    marked = low_rank(groups, rank=rank, update_proj_gap=update_proj_gap, targets=targets)
    rules: dict[str, Any] = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
    return Apollo(marked, groups.lr, scale=scale, scale_type=scale_type, **rules)


apollo_mini = partial(apollo, rank=1, scale=128.0, scale_type="tensor")
"""APOLLO-Mini: one row, one scale for each matrix."""
