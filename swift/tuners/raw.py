"""Trained weights kept beside a checkpoint, for techniques whose files hold something else."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class RawWeights:
    """The trained weights as they are in training: files may have them converted or cut.

    Args:
        model: With its tuner in place.
    """

    def __init__(self, model: nn.Module) -> None:
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def start(self, total_steps: int) -> None:
        """Any number will do."""

    def before(self, step: int) -> frozenset[nn.Parameter]:
        """Nothing to do."""
        return frozenset()

    def penalty(self) -> Tensor | None:
        """None."""
        return None

    def after(self, step: int) -> None:
        """Nothing to do."""

    def state(self) -> dict[str, Tensor]:
        """The weights by name."""
        return {name: p.detach() for name, p in self._trained.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put them back."""
        for name, parameter in self._trained.items():
            parameter.copy_(state[name])
