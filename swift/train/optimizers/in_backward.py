"""Updates in the backward pass (LOMO, arXiv 2306.09782): a gradient lives only until its parameter is updated.

Each parameter has an optimizer of its own, which steps as soon as the gradient is complete. So there must be one
backward pass to a step, and nothing that needs all gradients at once, such as the norm to clip by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class InBackward:
    """Steps each parameter's optimizer when its gradient is there.

    Attributes:
        owners: The optimizer of each parameter, by name.
        optimized: What it updates, by name: the model's parameter or its float32 copy.
        publish: Called with the name after an update.
        active: Whether gradients update; if not, they stay.
        failed: Whether a gradient was not finite; from then on nothing is updated.
    """

    owners: Mapping[str, torch.optim.Optimizer]
    optimized: Mapping[str, nn.Parameter]
    publish: Callable[[str], None]
    active: bool = True
    failed: bool = False
    _squares: list[Tensor] = field(default_factory=list)

    def attach(self, leaves: Mapping[str, nn.Parameter]) -> None:
        """Begin to listen to the gradients of the model's parameters, by name."""
        for name, leaf in leaves.items():
            leaf.register_post_accumulate_grad_hook(self._listener(name))

    def norm(self) -> float:
        """The L2 norm of all gradients since the last call."""
        total = torch.stack(self._squares).sum().sqrt().item() if self._squares else 0.0
        self._squares.clear()
        return math.nan if self.failed else total

    def _listener(self, name: str) -> Callable[[Tensor], None]:
        @torch.no_grad()
        def update(leaf: Tensor) -> None:
            parameter = self.optimized[name]
            if not self.active or parameter.grad is None:
                return
            square = parameter.grad.float().square().sum()
            self._squares.append(square)
            self.failed = self.failed or not math.isfinite(square.item())
            if not self.failed:
                self.owners[name].step()
                self.publish(name)
            parameter.grad = None

        return update
