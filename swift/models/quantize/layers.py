"""Quantized layers as the rest of the system sees them; no library is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers.pytorch_utils import Conv1D

_TENSORS = frozenset({"bitsandbytes", "torchao"})
"""Libraries whose weights are tensor classes of their own."""


def library_of(value: object) -> str:
    """The top-level package that defines the class of `value`."""
    return type(value).__module__.partition(".")[0]


def is_quantized(layer: nn.Module) -> bool:
    """Whether the layer's own weights are something else than plain numbers."""
    if any(library_of(p) in _TENSORS or not p.is_floating_point() for p in layer.parameters(recurse=False)):
        return True
    packed = any(not tensor.is_floating_point() for tensor in layer.buffers(recurse=False))
    return packed and {"in_features", "out_features"} <= vars(layer).keys()


def quantized_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every such layer by its full name."""
    return {name: module for name, module in model.named_modules() if is_quantized(module)}


def is_linear(layer: nn.Module) -> bool:
    """A linear layer: torch's, quantized, or GPT-2's transposed one."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(layer, nn.Linear | Conv1D) or (is_quantized(layer) and "out_features" in vars(layer))


def sizes(layer: nn.Module | Conv1D) -> tuple[int, int]:
    """Inputs and outputs of a linear layer."""
    from transformers.pytorch_utils import Conv1D

    if isinstance(layer, Conv1D):
        return int(layer.nx), int(layer.nf)
    return int(vars(layer)["in_features"]), int(vars(layer)["out_features"])


def number_type(model: nn.Module) -> torch.dtype:
    """The type that the model computes in: that of its first weight which is plain numbers."""
    return next(p.dtype for p in model.parameters() if p.is_floating_point() and library_of(p) not in _TENSORS)
