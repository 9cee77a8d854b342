"""BAdam (arXiv 2404.02827): Adam on one block of layers at a time, so that only this block has moments."""

from __future__ import annotations

import re
from typing import Any, Literal

import torch
from torch import nn

from swift.train.optimizers.spec import Group, Groups

_LAYER = re.compile(r"^(.*?\.\d+)\.")


class BAdam(torch.optim.Optimizer):
    """AdamW on the block whose turn it is. The others keep neither moments nor gradients.

    A block is a layer (everything up to the first number in a name), or one module beside the layers.

    Args:
        groups: Named parameters.
        lr: Rate.
        betas: Decay of the moments.
        eps: Added to the denominator.
        weight_decay: Decoupled.
        switch_every: Steps of a turn.
        order: Of the blocks: from the output down, from the input up, or another random order in every round.
    """

    def __init__(
        self,
        groups: list[Group],
        lr: float,
        *,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        switch_every: int,
        order: Literal["descending", "ascending", "random"],
    ) -> None:
        if switch_every < 1:
            raise ValueError(f"switch_every must be at least 1, not {switch_every}")
        if order not in ("descending", "ascending", "random"):
            raise ValueError(f"order must be descending, ascending or random, not {order!r}")
        # Of the group, so that it is saved with the group.
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "taken": 0})
        self.switch_every = switch_every
        self.order = order
        names = [name for group in self.param_groups for name in group["param_names"]]
        self.blocks = list(dict.fromkeys(block_of(name) for name in names))

    @property
    def active(self) -> str:
        """The block whose turn it is."""
        turn = int(self.param_groups[0]["taken"]) // self.switch_every
        round_, place = divmod(turn, len(self.blocks))
        if self.order == "random":
            generator = torch.Generator().manual_seed(round_)
            return self.blocks[int(torch.randperm(len(self.blocks), generator=generator)[place])]
        return self.blocks[place if self.order == "ascending" else -1 - place]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the active block, then see whose turn is next."""
        before = self.active
        for group in self.param_groups:
            for name, p in zip(group["param_names"], group["params"], strict=True):
                if p.grad is not None and block_of(name) == before:
                    self._update(p, group)
            group["taken"] += 1
        if self.active != before:
            self.state.clear()

    def _update(self, p: nn.Parameter, group: Group) -> None:
        state = self.state[p]
        assert p.grad is not None
        gradient = p.grad.float()
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_((state["exp_avg"] / root).mul_(group["lr"] / (1 - beta1 ** state["step"])).to(p.dtype))


def badam(
    groups: Groups,
    *,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.1,
    switch_every: int = 50,
    order: Literal["descending", "ascending", "random"] = "random",
) -> BAdam:
    """BAdam; gradients of blocks that have no turn are dropped as soon as they are there."""
    members = [member for group in groups.groups for member in group["params"]]
    optimizer = BAdam(
        groups.groups,
        groups.lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        switch_every=switch_every,
        order=order,
    )
    for name, p in members:
        if name in groups.leaves:
            groups.leaves[name].register_post_accumulate_grad_hook(_dropper(optimizer, name, p))
    return optimizer


def block_of(name: str) -> str:
    """The block of a parameter: its layer, or else its module."""
    layer = _LAYER.match(name)
    return layer.group(1) if layer else name.rpartition(".")[0]


def _dropper(optimizer: BAdam, name: str, optimized: nn.Parameter) -> Any:
    block = block_of(name)

    def drop(leaf: nn.Parameter) -> None:
        # The float32 copy has got the gradient by now, where there is one.
        if optimizer.active != block:
            leaf.grad = None
            optimized.grad = None

    return drop
