"""AdaLOMO (arXiv 2310.10195): a factored second moment and nothing else, made for updates in the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from swift.train.optimizers.spec import Group, Groups


class AdaLomo(torch.optim.Optimizer):
    """Steps of a size that is relative to the weights', along the gradient over the root of its second moment.

    Of a matrix, the second moment is kept as the means of its rows and columns (arXiv 1804.04235).

    Args:
        groups: Named parameters.
        lr: Rate, relative to the root mean square of the weights.
        decay_rate: The second moment of step t decays by 1 - t ** decay_rate.
        clip_threshold: The largest root mean square of an update, before the rate.
        eps: Added to squared gradients; the smallest root mean square of weights.
        weight_decay: Decoupled.
    """

    def __init__(
        self,
        groups: list[Group],
        lr: float,
        *,
        decay_rate: float = -0.8,
        clip_threshold: float = 1.0,
        eps: tuple[float, float] = (1e-30, 1e-3),
        weight_decay: float = 0.0,
    ) -> None:
        if clip_threshold <= 0:
            raise ValueError(f"clip_threshold must be more than 0, not {clip_threshold}")
        options = {"decay_rate": decay_rate, "clip_threshold": clip_threshold, "eps": eps}
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, **options})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad.float(), group)

    def _update(self, p: Tensor, gradient: Tensor, group: Group) -> None:
        state = self.state[p]
        tiny, smallest = group["eps"]
        if not state:
            state["step"] = 0
            for name, shape in _moments(p).items():
                state[name] = torch.zeros(shape, device=p.device)
        state["step"] += 1
        new = state["step"] ** group["decay_rate"]
        square = gradient.square().add_(tiny)
        if p.ndim >= 2:
            rows, columns = state["row"], state["column"]
            rows.lerp_(square.mean(-1), new)
            columns.lerp_(square.mean(-2), new)
            root = (rows / rows.mean(-1, keepdim=True)).rsqrt_().unsqueeze(-1) * columns.rsqrt().unsqueeze(-2)
            update = root.mul_(gradient)
        else:
            update = gradient * state["exp_avg_sq"].lerp_(square, new).rsqrt()
        update.div_((_size(update) / group["clip_threshold"]).clamp_(min=1.0))
        rate = _size(p).clamp_(min=smallest) * group["lr"]
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(update.mul_(rate).to(p.dtype))


def adalomo(
    groups: Groups,
    *,
    decay_rate: float = -0.8,
    clip_threshold: float = 1.0,
    weight_decay: float = 0.0,
) -> AdaLomo:
    """AdaLOMO."""
    return AdaLomo(
        groups.groups, groups.lr, decay_rate=decay_rate, clip_threshold=clip_threshold, weight_decay=weight_decay
    )


def _moments(p: Tensor) -> dict[str, tuple[int, ...]]:
    if p.ndim < 2:
        return {"exp_avg_sq": tuple(p.shape)}
    return {"row": tuple(p.shape[:-1]), "column": (*p.shape[:-2], p.shape[-1])}


def _size(values: Tensor) -> Tensor:
    """The root mean square."""
    return values.float().square().mean().sqrt_()
