"""AWQ (arXiv 2306.00978) by llm-compressor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.export import AwqConfig
from swift.exporting.quantize.compressor import compress, integers, require, require_groups
from swift.exporting.quantize.method import Method, QuantPlan


def _require(config: AwqConfig, device: torch.device, environments: Path) -> None:
    require("awq", environments)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    config: AwqConfig = plan.config
    require_groups(plan, config.group_size)
    weights = integers(config.bits, symmetric=config.symmetric, group_size=config.group_size)
    return compress(plan, folder, {"weights": weights})


METHOD = Method(_require, _write, in_place=False)
"""Weights in groups of 4 bits, scaled by what goes into them."""
