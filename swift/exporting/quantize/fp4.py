"""NVFP4 and MXFP4 weights by llm-compressor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.export import Fp4Config
from swift.exporting.quantize.compressor import compress, require
from swift.exporting.quantize.method import Method, QuantPlan


def _require(config: Fp4Config, device: torch.device, environments: Path) -> None:
    require("fp4", environments)


def _groups(config: Fp4Config) -> int:
    return 16 if config.layout == "nvfp4" else 32


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    config: Fp4Config = plan.config
    nvidia = config.layout == "nvfp4"
    weights = {
        "num_bits": 4,
        "type": "float",
        "symmetric": True,
        "strategy": "tensor_group" if nvidia else "group",
        "group_size": _groups(config),
        "scale_dtype": "torch.float8_e4m3fn" if nvidia else "torch.uint8",
    }
    return compress(plan, folder, [{"layers": list(plan.layers), "scheme": {"weights": weights}}])


METHOD = Method(_require, _write, _groups)
"""Without data: inputs stay in 16 bits."""
