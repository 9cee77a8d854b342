"""What can be wrong between configuration and architecture, found before any weights are read."""

from __future__ import annotations

import torch

from swift.config.sft import SftConfig
from swift.errors import ConfigError
from swift.hub import Located
from swift.models.quantize.layers import number_type
from swift.models.structure import head_dim, output_head
from swift.planning.skeleton import bare_skeleton, tuned_skeleton
from swift.train.optim import build_optimizer
from swift.train.prepare_model import switch_on
from swift.train.scaling import make_loss_scale


def require_fitting(config: SftConfig, located: Located, device: torch.device) -> None:
    """Put tuner, optimizer and the rest together as a run would, on a model without weights.

    What computes with weights as it begins (three techniques of PEFT do) is tried where weights are there.

    Raises:
        ConfigError: Something does not fit the model.
        ModelError: The architecture generates no text.
        CheckpointError: The adapter to go on from does not fit.
    """
    try:
        _try(config, located, device)
    except (RuntimeError, NotImplementedError, ConfigError) as error:
        if not _needs_weights(error):
            raise


def _try(config: SftConfig, located: Located, device: torch.device) -> None:
    base = bare_skeleton(config, located, device)
    switch_on(base, config)
    technique = tuned_skeleton(config, base)
    if config.loop.max_steps is not None:
        for part in technique.stepwise:
            part.start(config.loop.max_steps)
    build_optimizer(
        technique.model,
        config.optimizer,
        config.optimizer.learning_rate or 1e-4,
        make_loss_scale(number_type(base), device),
        head=list(output_head(base).parameters()),
        head_dim=head_dim(base),
    )


def _needs_weights(error: BaseException) -> bool:
    """Whether the error, or what led to it, is that a tensor has no values."""
    told = f"{error} {error.__cause__ or ''}".lower()
    return "meta tensor" in told or "on meta" in told
