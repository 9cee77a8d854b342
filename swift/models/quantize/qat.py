"""Quantization-aware training with torchao: linear layers that round their weights on the way forward.

The rounding passes gradients straight through (arXiv 1308.3432, section 4). Parameters stay the same objects
under the same names, so optimizers and checkpoints see plain weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from swift.config.quantization import QatConfig
from swift.errors import ConfigError
from swift.models.quantize.layers import sizes
from swift.models.structure import linear_layer_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FOUR: torch.dtype = torch.int4  # type: ignore[attr-defined]


def prepare_qat(model: PreTrainedModel, config: QatConfig) -> int:
    """Let the linear layers of the language model round their weights, in place; returns how many.

    Raises:
        ConfigError: A row cannot be cut into groups of this size, or there is no such layer.
    """
    from torchao.quantization import quantize_
    from torchao.quantization.qat import QATConfig

    names = require_shapes(model, config)
    quantize_(model, QATConfig(base_scheme(config), step="prepare"), lambda _, name: name in names)
    return len(names)


def require_shapes(model: PreTrainedModel, config: QatConfig) -> set[str]:
    """Names of the layers that would round; reads no weights.

    Raises:
        ConfigError: A row cannot be cut into groups of this size, or there is no such layer.
    """
    names = {name for name in linear_layer_names(model) if type(model.get_submodule(name)) is nn.Linear}
    if not names:
        raise ConfigError(f"--qat finds no layer in {type(model).__name__}", hint="take it out")
    if "int4" in config.scheme:
        for name in names:
            inputs, _ = sizes(model.get_submodule(name))
            if inputs % config.group_size:
                raise ConfigError(
                    f"--qat_group_size {config.group_size} does not divide the {inputs} inputs of {name}",
                    hint="a smaller one",
                )
    return names


def base_scheme(config: QatConfig) -> Any:
    """torchao's configuration of the weights that training rounds to; converting needs it, too."""
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, PerAxis, PerGroup

    if config.scheme == "int8-weight":
        return IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
    group = PerGroup(config.group_size)
    if config.scheme == "int4-weight":
        return IntxWeightOnlyConfig(weight_dtype=_FOUR, granularity=group)
    return Int8DynamicActivationIntxWeightConfig(weight_dtype=_FOUR, weight_granularity=group)
