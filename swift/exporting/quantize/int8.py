"""INT8 weights and inputs, with SmoothQuant (arXiv 2211.10438), by llm-compressor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.export import Int8Config
from swift.exporting.quantize.compressor import compress, each_token, integers, require
from swift.exporting.quantize.method import Method, QuantPlan


def _require(config: Int8Config, device: torch.device, environments: Path) -> None:
    require("int8", environments)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    config: Int8Config = plan.config
    scheme = {"weights": integers(8, symmetric=True, group_size=None), "input_activations": each_token("int")}
    return compress(plan, folder, [{"layers": list(plan.layers), "scheme": scheme}], smoothing=config.smoothing)


METHOD = Method(_require, _write, in_place=False)
"""A scale for each row of weights and each token."""
