"""torchao, by transformers: weights only, in whole numbers or 8-bit floating point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swift.config.quantization import TorchaoConfig
from swift.errors import ConfigError, ResourceError

LIBRARIES = ("torchao", "accelerate")


def require(config: TorchaoConfig, device: torch.device) -> None:
    """Make sure that the scheme runs on `device`.

    Raises:
        ResourceError: It does not.
    """
    if config.scheme == "int4-packed" and device.type != "cuda":
        raise ResourceError(
            f"torchao's packed 4-bit weights need a CUDA device, and this is {device}",
            hint="--torchao_scheme int --quant_bits 4 (a byte each), or --quant_method bnb",
        )


def require_shape(config: TorchaoConfig, name: str, inputs: int, outputs: int) -> None:
    """Make sure that a row can be cut into groups.

    Raises:
        ConfigError: It cannot.
    """
    grouped = config.scheme == "int4-packed" or (config.scheme == "int" and config.bits < 8)
    if grouped and inputs % config.group_size:
        raise ConfigError(
            f"--group_size {config.group_size} does not divide the {inputs} inputs of {name}",
            hint="a smaller one, or name the layer in --modules_to_not_convert",
        )


def options(config: TorchaoConfig, skip: Sequence[str]) -> dict[str, Any]:
    """Arguments of `from_pretrained`; `skip` has patterns of the linear layers that stay as they are."""
    from transformers import TorchAoConfig as Rules

    return {"quantization_config": Rules(_scheme(config), modules_to_not_convert=list(skip))}


def _scheme(config: TorchaoConfig) -> Any:
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int4WeightOnlyConfig,
        Int8DynamicActivationInt8WeightConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        PerGroup,
    )

    if config.scheme == "float8":
        return Float8WeightOnlyConfig()
    if config.scheme == "int8-dynamic":
        return Int8DynamicActivationInt8WeightConfig()
    if config.scheme == "int4-packed":
        return Int4WeightOnlyConfig(group_size=config.group_size)
    if config.bits == 8:
        return Int8WeightOnlyConfig()
    kind = getattr(torch, f"int{config.bits}")
    return IntxWeightOnlyConfig(weight_dtype=kind, granularity=PerGroup(config.group_size))


def bits_per_weight(config: TorchaoConfig, inputs: int, dtype: torch.dtype) -> float:
    """With the scales; `inputs` is the length of a row."""
    scale = 8 * dtype.itemsize
    if config.scheme == "int4-packed":
        return 4 + 2 * scale / config.group_size
    if config.scheme == "int" and config.bits < 8:  # and a zero point, in a byte
        return 8 + (scale + 8) / config.group_size
    return 8 + scale / inputs


def describe(config: TorchaoConfig) -> str:
    """In words."""
    if config.scheme == "int" and config.bits < 8:
        return f"torchao, whole numbers of {config.bits} bits in groups of {config.group_size}, a byte each"
    return f"torchao, {'whole numbers of 8 bits' if config.scheme == 'int' else config.scheme}"
