"""torchao: whole numbers and 8-bit floating point, as a folder that transformers loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.quantization import TorchaoConfig
from swift.exporting.quantize.loaded import save_loaded
from swift.exporting.quantize.method import Method, QuantPlan
from swift.models.quantize import torchao
from swift.models.quantize.method import require_libraries


def _require(config: TorchaoConfig, device: torch.device, environments: Path) -> None:
    require_libraries(torchao.LIBRARIES, "--quant_method torchao")
    torchao.require(config, device)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    return save_loaded(plan, folder, ("torchao",))


METHOD = Method(_require, _write)
"""Weights, and with the scheme int8-dynamic inputs, too."""
