"""GPTQ (arXiv 2210.17323) by llm-compressor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.export import GptqConfig
from swift.exporting.quantize.compressor import compress, group_size, grouped_integers, require
from swift.exporting.quantize.method import Method, QuantPlan


def _require(config: GptqConfig, device: torch.device, environments: Path) -> None:
    require("gptq", environments)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    config: GptqConfig = plan.config
    return compress(plan, folder, grouped_integers(plan), dampening=config.dampening, resumable=True)


METHOD = Method(_require, _write, group_size)
"""Weights in groups of 4 or 8 bits."""
