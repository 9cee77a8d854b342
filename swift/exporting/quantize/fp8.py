"""FP8 weights and inputs by llm-compressor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.export import Fp8Config
from swift.exporting.quantize.compressor import compress, each_token, require
from swift.exporting.quantize.method import Method, QuantPlan


def _require(config: Fp8Config, device: torch.device, environments: Path) -> None:
    require("fp8", environments)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    config: Fp8Config = plan.config
    weights = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
    inputs = each_token("float")
    if config.blocks:
        weights |= {"strategy": "block", "block_structure": [128, 128]}
        inputs |= {"strategy": "group", "group_size": 128}
    scheme = {"weights": weights, "input_activations": inputs}
    return compress(plan, folder, [{"layers": list(plan.layers), "scheme": scheme}])


METHOD = Method(_require, _write)
"""Without data: inputs get their scale when they come."""
