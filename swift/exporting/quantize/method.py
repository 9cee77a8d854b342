"""What a method of quantization is, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from swift.chat.media.processor import MediaProcessor
from swift.config.model import ModelConfig
from swift.hub import Located
from swift.registry import Registry
from swift.types import Tokens


@dataclass(frozen=True, slots=True)
class QuantPlan:
    """All that is decided before weights are read.

    Attributes:
        source: A folder with weights as plain numbers.
        model: How it is loaded.
        config: The method's own options.
        layers: Full names of the linear layers that get quantized.
        bits: Of each of them, where the method leaves a choice.
        symmetric: Whether their scales have no zero points.
        rows: What the method looks at: all of them text, or all with media of the same kinds.
        media: Makes what the model gets of a row besides token ids; None for models of text.
        device: Where it works.
        dtype: Type of the weights that stay as they are.
        shard: Largest weights file.
        environments: The folder of environments.
    """

    source: Located
    model: ModelConfig
    config: Any
    layers: tuple[str, ...]
    bits: Mapping[str, int]
    symmetric: bool
    rows: tuple[Tokens, ...]
    media: MediaProcessor | None
    device: torch.device
    dtype: torch.dtype
    shard: str
    environments: Path


@dataclass(frozen=True, slots=True)
class Method:
    """A method of quantization.

    Attributes:
        require: Makes sure, before weights are read, that it can run: given its options, the device and the folder of
            environments. Raises a SwiftError.
        write: Writes weights and config.json into a folder; returns names and versions of the libraries that did it.
        groups: How many weights of a row share a scale, given its options; 1 where nothing must divide a row.
        in_place: Each layer is rounded by itself, so that it can be compared with the one that it was; other methods
            move scales from layer to layer.
    """

    require: Callable[[Any, torch.device, Path], None]
    write: Callable[[QuantPlan, Path], Mapping[str, str]]
    groups: Callable[[Any], int] = lambda config: 1
    in_place: bool = True


methods: Registry[Method] = Registry(
    "quantization method",
    {
        "bnb": "swift.exporting.quantize.bnb:METHOD",
        "hqq": "swift.exporting.quantize.hqq:METHOD",
        "torchao": "swift.exporting.quantize.torchao:METHOD",
        "gptq": "swift.exporting.quantize.gptq:METHOD",
        "awq": "swift.exporting.quantize.awq:METHOD",
        "int8": "swift.exporting.quantize.int8:METHOD",
        "fp8": "swift.exporting.quantize.fp8:METHOD",
        "fp4": "swift.exporting.quantize.fp4:METHOD",
    },
)
"""By the name that `--quant_method` takes."""
