"""The state of a run's optimizer, for the checkpoint: tensors and plain values, and back, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from swift.errors import CheckpointError
from swift.train.checkpoint import JSON
from swift.train.optim import StepOptimizer
from swift.train.optimizers.encode import Encoder, decode

_PREFIX = "optimizer/"
_MASTER = "master"
_TRAINED = "trained_weight"
_ASIDE = ".aside"  # before the keys of tensors that JSON refers to; no parameter's name begins with a dot

_DERIVED = frozenset({"param_buffer"})
"""Copies that an optimizer makes while it averages."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {"StableSPAM": ("total_step",)}
"""Classes of optimizers that keep state beside torch's, and where."""


def state_tensors(optimizer: StepOptimizer) -> tuple[dict[str, Tensor], dict[str, JSON]]:
    """Everything that `load_state_tensors` needs to go on bit for bit.

    Returns:
        Tensors, those of parameters under `optimizer/<parameter>/<what>`, and plain values.
    """
    encoder = Encoder(_PREFIX, optimizer.device)
    named = optimizer.named
    extras: dict[str, dict[str, JSON]] = {}
    for inner in optimizer.inners:
        for name, parameter in _members(inner):
            for what, value in inner.state.get(parameter, {}).items():
                if what in _DERIVED:
                    continue
                if not encoder.simple(f"{name}/{what}", value):
                    extras.setdefault(name, {})[what] = encoder.encode(f"{_ASIDE}/{name}/{what}", value)
    values: dict[str, JSON] = {
        "kind": type(optimizer.inners[0]).__name__,
        "parameters": list(named),
        "loss_scale": optimizer.scale.state(),
        "updates": optimizer.updates,
        "extras": extras,
        "beside": [_beside(inner, encoder, f"{_ASIDE}/{n}") for n, inner in enumerate(optimizer.inners)],
        "groups": [
            encoder.encode(f"{_ASIDE}/group{n}", changed) for n, changed in enumerate(optimizer.changed_groups())
        ],
    }
    masters = {f"{_PREFIX}{name}/{_MASTER}": t for name, t in optimizer.training_weights(masters=True).items()}
    trained: dict[str, Tensor] = {}
    if optimizer.averages:
        weights = optimizer.training_weights(masters=False)
        trained = {f"{_PREFIX}{name}/{_TRAINED}": t for name, t in weights.items()}
    return {**encoder.tensors, **masters, **trained}, values


def load_state_tensors(optimizer: StepOptimizer, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Put the optimizer, and the weights that it keeps, back to where `state_tensors` found them.

    Options such as the decay stay as the optimizer was built: the configuration decides those.

    Raises:
        CheckpointError: The state is of another optimizer or of other parameters.
    """
    _require_same(optimizer, values)
    ours = {key.removeprefix(_PREFIX): t for key, t in tensors.items() if key.startswith(_PREFIX)}
    store = _Store(ours, optimizer.device)
    extras: Mapping[str, Mapping[str, Any]] = values.get("extras", {})
    decoded = {
        name: {what: decode(value, store.get, optimizer.device) for what, value in items.items()}
        for name, items in extras.items()
    }
    groups = [decode(value, store.get, optimizer.device) for value in values.get("groups", [])]
    beside = [decode(value, store.get, optimizer.device) for value in values.get("beside", [])]
    kept: dict[str, dict[str, Tensor]] = {_MASTER: {}, _TRAINED: {}}
    state: dict[str, dict[str, Any]] = {name: {} for name in optimizer.named}
    for key in ours:
        name, _, what = key.rpartition("/")
        if what in kept:
            kept[what][name] = ours[key]
        elif name in state:
            state[name][what] = store.get(key)
    optimizer.load_training_weights(kept[_MASTER], kept[_TRAINED])
    for inner in optimizer.inners:
        inner.state.clear()
        for name, parameter in _members(inner):
            if found := {**state[name], **decoded.get(name, {})}:
                inner.state[parameter] = found
    for inner, found in zip(optimizer.inners, beside, strict=False):
        inner.state.update(found["state"])
        vars(inner).update(found["attributes"])
    optimizer.load_groups(groups)
    optimizer.updates = int(values.get("updates", 0))
    optimizer.scale.load(values["loss_scale"])


class _Store:
    """Saved tensors, each copied to where it belongs the first time it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], home: torch.device) -> None:
        self._tensors = tensors
        self._home = home
        self._copies: dict[str, Tensor] = {}

    def get(self, key: str) -> Tensor:
        if key not in self._tensors:
            raise CheckpointError(f"the checkpoint's optimizer state lacks the tensor {key}")
        if key not in self._copies:
            self._copies[key] = self._tensors[key].clone().to(self._home)
        return self._copies[key]


def _require_same(optimizer: StepOptimizer, values: Mapping[str, Any]) -> None:
    kind, named = type(optimizer.inners[0]).__name__, optimizer.named
    if values["kind"] != kind:
        raise CheckpointError(f"the checkpoint's optimizer is {values['kind']}, not {kind}")
    if list(values["parameters"]) != list(named):
        different = sorted(set(values["parameters"]) ^ set(named)) or list(named)
        raise CheckpointError(
            f"the checkpoint's optimizer holds other parameters: {len(values['parameters'])} against {len(named)}, "
            f"such as {different[0]}",
            hint="resume with the same tuner options",
        )
    if len(values.get("groups", optimizer.param_groups)) != len(optimizer.param_groups):
        raise CheckpointError(
            "the checkpoint's optimizer has other parameter groups",
            hint="resume with the same options of the optimizer",
        )


def _beside(inner: torch.optim.Optimizer, encoder: Encoder, key: str) -> JSON:
    """State that belongs to no parameter."""
    by_key: dict[Any, Any] = inner.state
    state = {name: value for name, value in by_key.items() if isinstance(name, str)}
    attributes = {name: vars(inner)[name] for name in ATTRIBUTES.get(type(inner).__name__, ())}
    return {
        "dict": [
            ["state", encoder.encode(f"{key}.s", state)],
            ["attributes", encoder.encode(f"{key}.a", attributes)],
        ]
    }


def _members(inner: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for group in inner.param_groups:
        yield from zip(group["param_names"], group["params"], strict=True)
