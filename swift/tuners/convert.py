"""Adapters that began as a part of the weights, saved as a plain update of the weights as they were.

PiSSA and its kin take `B0 A0` out of the weights, so that training begins where the model is: `W - B0 A0 + B A`. An
adapter file with `B A` alone would mean something only beside those changed weights. `B A - B0 A0` is a low-rank
update of twice the rank, which any program can add to the plain model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

if TYPE_CHECKING:
    from peft import PeftModel


def beginning(tuned: PeftModel) -> dict[str, Tensor]:
    """The adapter's factors as they are now, before the first step."""
    return {name: tensor.detach().clone() for name, tensor in _factors(tuned).items()}


def write_as_update(tuned: PeftModel, initial: Mapping[str, Tensor], folder: Path) -> None:
    """Replace the adapter's files in `folder` by the plain update."""
    merged = {}
    for name, now in _factors(tuned).items():
        then = initial.get(name)
        if then is None:  # beside the factors, such as modules that are trained in full
            merged[name] = now
        elif "lora_A" in name:
            merged[name] = torch.cat((now, then))
        else:
            merged[name] = torch.cat((now, -then), dim=1)
    save_file({name: t.detach().cpu().contiguous() for name, t in merged.items()}, folder / "adapter_model.safetensors")
    file = folder / "adapter_config.json"
    described = json.loads(file.read_text(encoding="utf-8"))
    described["r"] *= 2
    described["lora_alpha"] *= math.sqrt(2) if described["use_rslora"] else 2
    described["init_lora_weights"] = True
    described |= dict.fromkeys(("corda_config", "lora_ga_config"))
    file.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _factors(tuned: PeftModel) -> dict[str, Tensor]:
    from peft import get_peft_model_state_dict

    state: dict[str, Tensor] = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    return state
