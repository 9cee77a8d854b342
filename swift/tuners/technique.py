"""What a tuner hands to training: the model with what is trained in it, and how that is saved and stepped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from swift.models.forward import Backbone, Caller


class Stepwise(Protocol):
    """A technique that does something between steps."""

    def start(self, total_steps: int) -> None:
        """The run has this many steps.

        Raises:
            ConfigError: They are too few for the technique's options.
        """

    def before(self, step: int) -> frozenset[nn.Parameter]:
        """Get ready for step `step`, from 0; returns parameters whose optimizer state is to be forgotten."""

    def penalty(self) -> Tensor | None:
        """A scalar that is added to the loss of a step."""

    def after(self, step: int) -> None:
        """The weights were updated; gradients are still there."""

    def state(self) -> Mapping[str, Tensor]:
        """What must be kept to go on."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""


@dataclass(frozen=True, slots=True)
class Technique:
    """A model with its tuner in place.

    Attributes:
        model: What is called, and whose parameters are trained where they require a gradient.
        adapter: Whether what is trained is saved apart from the model.
        write: Saves what is trained into a folder; None saves the model itself.
        stepwise: What it does between steps.
        caller: Turns the model's own way of being called into the technique's, where it has one.
    """

    model: nn.Module
    adapter: bool
    write: Callable[[Path], None] | None = None
    stepwise: tuple[Stepwise, ...] = field(default=())
    caller: Callable[[Backbone], Caller] | None = None
