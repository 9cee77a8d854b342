"""AWQ (arXiv 2306.00978) by llm-compressor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.export import AwqConfig
from swift.exporting.quantize.compressor import compress, group_size, grouped_integers, require
from swift.exporting.quantize.method import Method, QuantPlan


def _require(config: AwqConfig, device: torch.device, environments: Path) -> None:
    require("awq", environments)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    return compress(plan, folder, grouped_integers(plan), resumable=True)


METHOD = Method(_require, _write, group_size, in_place=False)
"""Weights in groups of 4 bits, scaled by what goes into them."""
