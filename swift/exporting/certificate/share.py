"""Whether an adapter is in merged weights once, and not a half or two times: told from the weights themselves.

Where an adapter changes little, the divergence of a wrong merge may be less than what rounding to 16 bits explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from swift.exporting.certificate.certificate import Check

_LAYERS = 4
_TOLERANCE = 0.02
_DEVIATIONS = 6.0
"""How far from 1 a share may be: beside a small part, what rounding makes likely."""


@dataclass(frozen=True, slots=True)
class Update:
    """A layer that an adapter changes.

    Attributes:
        name: Its full name.
        weight: As it is without the adapter [outputs, inputs], float32 on the CPU.
        delta: What the adapter adds, likewise.
    """

    name: str
    weight: Tensor
    delta: Tensor


@torch.inference_mode()
def updates(model: nn.Module) -> tuple[Update, ...]:
    """A few layers of a model whose one LoRA adapter lies beside its weights; none where it is of another kind."""
    from peft.tuners.lora import LoraLayer

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer)]
    plain = [
        (name, layer)
        for name, layer in layers
        if type(layer.get_base_layer()) is nn.Linear
        and len(layer.lora_A) == 1
        and not any(layer.use_dora.values())
        and not layer.lora_variant
    ]
    places = sorted({round(share * (len(plain) - 1) / (_LAYERS - 1)) for share in range(_LAYERS)}) if plain else []
    return tuple(_update(*plain[place]) for place in places)


def _update(name: str, layer: Any) -> Update:
    delta = layer.get_delta_weight(next(iter(layer.lora_A)))
    return Update(name, layer.get_base_layer().weight.float().cpu().clone(), delta.float().cpu())


@torch.inference_mode()
def share_check(model: nn.Module, known: Sequence[Update]) -> list[Check]:
    """How many times the adapter is in the weights of the result, by least squares; nothing where that is not known."""
    found = []
    for update in known:
        size = float(update.delta.double().square().sum())
        if not size:
            continue
        change = model.get_submodule(update.name).weight.float().cpu() - update.weight  # type: ignore[operator]
        share = float((change.double() * update.delta.double()).sum()) / size
        rest = float((change.double() - share * update.delta.double()).square().mean()) ** 0.5
        found.append((share, _TOLERANCE + _DEVIATIONS * rest / size**0.5, update.name))
    if not found:
        return []
    share, allowed, name = max(found, key=lambda item: abs(item[0] - 1) - item[1])
    return [Check("adapter", abs(share - 1) <= allowed, f"{share:.3f} times in {name}, should be 1 (+-{allowed:.3f})")]
