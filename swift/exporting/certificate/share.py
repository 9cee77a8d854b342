"""Whether an adapter is in merged weights once, and not a half or two times: told from the weights themselves.

Where an adapter changes little, the divergence of a wrong merge may be less than what rounding to 16 bits explains. And
where it changes weights by less than half of what separates one number of 16 bits from the next, rounding takes most of
it away again: it is in the weights as often as those numbers can hold it, which is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from swift.exporting.certificate.certificate import Check
from swift.hub.located import say

_LAYERS = 4
_TOLERANCE = 0.02
_DEVIATIONS = 6.0
"""How far a share may be from what it should be: beside a small part, what rounding makes likely."""
_MUCH = 0.9
"""Where rounding leaves less of an adapter than this, users are told."""


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
def share_check(model: nn.Module, known: Sequence[Update], kind: torch.dtype) -> list[Check]:
    """How many times the adapter is in the weights of the result, by least squares; nothing where that is not known.

    Args:
        model: The result.
        known: Layers of the source.
        kind: The type in which the result's files hold weights.
    """
    found = [
        _found(update, cast(Tensor, model.get_submodule(update.name).weight).float().cpu(), kind) for update in known
    ]
    shares = [share for share in found if share is not None]
    if not shares:
        return []
    worst = max(shares, key=lambda share: abs(share.found - share.expected) - share.allowed)
    passed = abs(worst.found - worst.expected) <= worst.allowed
    told = f"{worst.found:.3f} times in {worst.name}, should be {worst.expected:.3g} (+-{worst.allowed:.3f})"
    lost = min(shares, key=lambda share: share.expected)
    if passed and lost.expected < _MUCH:
        name = str(kind).removeprefix("torch.")
        told = (
            f"{name} is too coarse for so small a change: {lost.expected:.0%} of the adapter is left in {lost.name}; "
            "--torch_dtype float32 keeps all of it"
        )
        say(f"note: {told}")
    return [Check("adapter", passed, told)]


@dataclass(frozen=True, slots=True)
class _Share:
    """How many times an adapter is in a layer, how many times it should be, and how far it may be from that."""

    name: str
    found: float
    expected: float
    allowed: float


def _found(update: Update, weight: Tensor, kind: torch.dtype) -> _Share | None:
    size = float(update.delta.double().square().sum())
    if not size:
        return None
    delta = update.delta.double()

    def times(change: Tensor) -> float:
        return float((change.double() * delta).sum()) / size

    found = times(weight - update.weight)
    expected = times((update.weight + update.delta).to(kind).float() - update.weight)
    rest = float(((weight - update.weight).double() - found * delta).square().mean()) ** 0.5
    return _Share(update.name, found, expected, _TOLERANCE + _DEVIATIONS * rest / size**0.5)
