"""HQQ by its own library, layer by layer on the loaded model: transformers does not offer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from swift.config.quantization import HqqConfig
from swift.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LIBRARIES = ("hqq",)

_SCALES = 2  # a scale and a zero point for each group, in the computing type
_STORED_BITS = {1: 1.0, 2: 2.0, 3: 3.2, 4: 4.0, 8: 8.0}
"""What the library's packing takes: ten weights of 3 bits lie in 32."""


def require(config: HqqConfig, device: torch.device) -> None:
    """It is plain torch, and runs wherever that does."""


def require_shape(config: HqqConfig, name: str, inputs: int, outputs: int) -> None:
    """Make sure that a layer can be cut into groups.

    Raises:
        ConfigError: It cannot.
    """
    along = inputs if config.axis == 1 else outputs
    if along % config.group_size:
        raise ConfigError(
            f"--group_size {config.group_size} does not divide the {along} rows or columns of {name}",
            hint="a smaller one, or name the layer in --modules_to_not_convert",
        )


def convert(
    model: PreTrainedModel, names: Sequence[str], config: HqqConfig, device: torch.device, dtype: torch.dtype
) -> None:
    """Replace the named linear layers in place, each on `device`; the rest of the model stays where it is."""
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    rules = BaseQuantizeConfig(nbits=config.bits, group_size=config.group_size, axis=config.axis)
    for name in names:
        layer = model.get_submodule(name)
        model.set_submodule(name, HQQLinear(layer, rules, compute_dtype=dtype, device=str(device)))


def bits_per_weight(config: HqqConfig, dtype: torch.dtype) -> float:
    """With scales and zero points."""
    return _STORED_BITS[config.bits] + _SCALES * 8 * dtype.itemsize / config.group_size


def stored(layer: nn.Module) -> list[Tensor]:
    """Every tensor of a quantized layer."""
    from hqq.core.quantize import HQQLinear

    assert isinstance(layer, HQQLinear)
    own = [layer.W_q, *([] if layer.bias is None else [layer.bias])]
    return own + [value for value in layer.meta.values() if isinstance(value, Tensor)]


def describe(config: HqqConfig) -> str:
    """In words."""
    return f"HQQ, {config.bits} bits in groups of {config.group_size}"
