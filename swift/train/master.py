"""Float32 master copies of 16-bit weights (arXiv 1710.03740, section 3.1).

A bfloat16 weight has 8 bits of mantissa: an update below 1/256 of it is rounded away. So the optimizer works on a
float32 copy, which is rounded to the weight after each step. Gradients are added up in float32 too, each as soon
as the backward pass has it, so that neither the number of micro-batches nor their order costs precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from swift.errors import CheckpointError

_HALF = (torch.bfloat16, torch.float16)


class MasterWeights:
    """The float32 copies of those parameters that are 16 bit; any other parameter stands for itself.

    While an instance lives, the backward pass moves the gradients of 16-bit parameters to the copies.

    Args:
        parameters: Names and parameters, each once.
        enabled: False lets the optimizer work on 16-bit weights themselves.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], *, enabled: bool = True) -> None:
        self._pairs: dict[str, tuple[nn.Parameter, nn.Parameter]] = {}
        self._optimized: dict[str, nn.Parameter] = {}
        for name, parameter in parameters:
            self._optimized[name] = parameter
            if enabled and parameter.dtype in _HALF:
                self._optimized[name] = nn.Parameter(parameter.detach().float())
                self._pairs[name] = (parameter, self._optimized[name])
                parameter.register_post_accumulate_grad_hook(partial(_move_gradient, self._optimized[name]))

    @property
    def optimized(self) -> dict[str, nn.Parameter]:
        """What the optimizer updates, by name: the copy where there is one, else the parameter itself."""
        return self._optimized

    def stand_for(self, parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        """What the optimizer updates in the place of some of the model's parameters."""
        copies = dict(self._pairs.values())
        return [copies.get(parameter, parameter) for parameter in parameters]

    @torch.no_grad()
    def publish(self) -> None:
        """Round the copies into the model's weights."""
        for parameter, master in self._pairs.values():
            parameter.copy_(master)

    @torch.no_grad()
    def publish_one(self, name: str) -> None:
        """Round one copy into the model's weight; nothing where the parameter stands for itself."""
        if name in self._pairs:
            parameter, master = self._pairs[name]
            parameter.copy_(master)

    def tensors(self) -> dict[str, Tensor]:
        """The copies by name, for the checkpoint."""
        return {name: master.detach() for name, (_, master) in self._pairs.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Set copies and weights to what `tensors` gave.

        Raises:
            CheckpointError: The names or shapes are not those of this model.
        """
        if tensors.keys() != self._pairs.keys():
            different = sorted(tensors.keys() ^ self._pairs.keys())
            raise CheckpointError(f"the saved master weights are of other parameters, such as {different[0]}")
        for name, (_, master) in self._pairs.items():
            if master.shape != tensors[name].shape:
                saved, here = tuple(tensors[name].shape), tuple(master.shape)
                raise CheckpointError(f"the saved master weight of {name} has shape {saved}, not {here}")
            master.copy_(tensors[name])
        self.publish()


@torch.no_grad()
def _move_gradient(master: nn.Parameter, parameter: Tensor) -> None:
    """Add a gradient that was just computed to the copy's, and free it."""
    assert parameter.grad is not None
    if master.grad is None:
        master.grad = parameter.grad.float()
    else:
        master.grad += parameter.grad
    parameter.grad = None
