"""bitsandbytes: what `--quant_method bnb` trains on, as a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from swift.config.quantization import BnbConfig
from swift.exporting.quantize.loaded import save_loaded
from swift.exporting.quantize.method import Method, QuantPlan
from swift.models.quantize import bnb
from swift.models.quantize.method import require_libraries


def _require(config: BnbConfig, device: torch.device, environments: Path) -> None:
    require_libraries(bnb.LIBRARIES, "--quant_method bnb")
    bnb.require(config, device)


def _write(plan: QuantPlan, folder: Path) -> Mapping[str, str]:
    return save_loaded(plan, folder, ("bitsandbytes",))


METHOD = Method(_require, _write)
"""4 or 8 bits."""
