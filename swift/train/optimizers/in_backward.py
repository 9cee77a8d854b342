"""Updates in the backward pass (LOMO, arXiv 2306.09782): a gradient lives only until its parameter is updated.

Each parameter has an optimizer of its own, which steps as soon as the gradient is complete. So there must be one
backward pass to a step, and nothing that needs all gradients at once, such as the norm to clip by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from swift.errors import ConfigError
from swift.train.master import MasterWeights
from swift.train.optimizers.spec import Spec
from swift.train.scaling import LossScale


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


def require_alone(name: str, spec: Spec, scale: LossScale) -> None:
    """See to it that a parameter can be updated without knowing of the others.

    Raises:
        ConfigError: It cannot.
    """
    why = None
    if spec.joined:
        why = f"an update of {name} depends on other parameters than its own"
    elif spec.draws:
        why = f"{name} draws random numbers for all parameters one after the other"
    elif not scale.fixed:
        why = "float16 needs all gradients to know whether one has overflowed"
    if why is not None:
        raise ConfigError(f"updates in the backward pass: {why}", hint="leave out --optim_in_backward")


def update_in_backward(
    inners: Sequence[torch.optim.Optimizer], masters: MasterWeights, leaves: Mapping[str, nn.Parameter]
) -> InBackward:
    """Let each of `inners`, which have a parameter each, step when the gradient is there.

    Args:
        inners: Their groups carry `param_names`.
        masters: Float32 copies, which get their gradients before.
        leaves: The model's parameters by name.
    """
    owners = {name: inner for inner in inners for group in inner.param_groups for name in group["param_names"]}
    made = InBackward(owners, masters.optimized, masters.publish_one)
    made.attach(leaves)
    return made
