"""HQQ: the layout of its own library in safetensors, which swift reads (`models/quantize/hqq_checkpoint.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch

from swift.config.quantization import HqqConfig
from swift.exporting.quantize.loaded import load_quantized
from swift.exporting.quantize.method import Method, QuantPlan
from swift.models.quantize import hqq
from swift.models.quantize.hqq_checkpoint import save
from swift.models.quantize.method import require_libraries


def _require(config: HqqConfig, device: torch.device, environments: Path) -> None:
    require_libraries(hqq.LIBRARIES, "--quant_method hqq")
    hqq.require(config, device)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    save(load_quantized(plan), plan.config, folder, shard=plan.shard)
    return {"hqq": version("hqq")}


METHOD = Method(_require, _write)
"""1 to 8 bits, without data."""
