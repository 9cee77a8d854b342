"""LISA (arXiv 2403.17919): of all decoder layers only a few are trained at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from swift.config.tuner import LisaConfig
from swift.errors import ConfigError
from swift.models.structure import decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LayerSampling:
    """Draws the trained layers, anew every so many steps; embeddings, last norm and head are always trained.

    The draw of a step depends on the seed and the step alone, so that a resumed run draws the same.

    Args:
        model: All weights that are ever trained require a gradient.
        config: How many layers, for how long.
        seed: Of the draws.

    Raises:
        ConfigError: The model has fewer layers.
    """

    def __init__(self, model: PreTrainedModel, config: LisaConfig, seed: int) -> None:
        self._layers = [[p for p in layer.parameters() if p.requires_grad] for layer in decoder_layers(model)]
        if config.activated_layers > len(self._layers):
            raise ConfigError(
                f"tuner.activated_layers {config.activated_layers} is more than the model's {len(self._layers)}",
                hint="lower --lisa_activated_layers",
            )
        self._config = config
        self._seed = seed
        self._period: int | None = None

    def start(self, total_steps: int) -> None:
        """Any number will do."""

    def before(self, step: int) -> frozenset[nn.Parameter]:
        """Draw, where it is time; the others' optimizer state is what this saves the memory of."""
        period = step // self._config.step_interval
        if period == self._period:
            return frozenset()
        self._period = period
        chosen = self.chosen(period)
        for number, parameters in enumerate(self._layers):
            for parameter in parameters:
                parameter.requires_grad_(number in chosen)
        return frozenset(p for number, layer in enumerate(self._layers) if number not in chosen for p in layer)

    def chosen(self, period: int) -> frozenset[int]:
        """Numbers of the layers that are trained in a period."""
        generator = np.random.default_rng((self._seed, period))
        count = self._config.activated_layers
        return frozenset(int(n) for n in generator.choice(len(self._layers), count, replace=False))

    def penalty(self) -> Tensor | None:
        """None."""
        return None

    def after(self, step: int) -> None:
        """Nothing to do."""

    def state(self) -> Mapping[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to load."""
