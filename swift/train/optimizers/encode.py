"""An optimizer's state as named tensors and JSON: no pickle, and not one bit lost.

A tensor is stored under a key, and JSON refers to it. Every other value becomes JSON: numbers, texts and None as they
are, and whatever JSON does not have as an object with one key that says what it is, such as {"tuple": [...]}.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from swift.errors import CheckpointError
from swift.train.checkpoint import JSON

_GALORE = "pytorch_optimizer.optimizer.utils.galore"
_SHAMPOO = "pytorch_optimizer.optimizer.utils"

CLASSES = {
    "GaLoreProjector": _GALORE,
    "PreConditioner": f"{_SHAMPOO}.preconditioner",
    "BlockPartitioner": f"{_SHAMPOO}.partition",
    "Graft": f"{_SHAMPOO}.graft",
    "SGDGraft": f"{_SHAMPOO}.graft",
    "SQRTNGraft": f"{_SHAMPOO}.graft",
    "AdaGradGraft": f"{_SHAMPOO}.graft",
    "RMSPropGraft": f"{_SHAMPOO}.graft",
    "OptimState4bit": "torchao.optim.subclass_4bit",
    "OptimState8bit": "torchao.optim.subclass_8bit",
    "OptimStateFp8": "torchao.optim.subclass_fp8",
}
"""Objects of libraries that stand in a state, and the modules of their classes. No other class is ever built."""


class Encoder:
    """Collects tensors. A tensor that stands at two places is stored once, and is one tensor again when loaded.

    Args:
        prefix: What all keys begin with.
        home: The device of the parameters. A tensor without dimensions that lies elsewhere goes back there.
    """

    def __init__(self, prefix: str, home: torch.device) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._prefix = prefix
        self._home = home
        self._seen: dict[tuple[Any, ...], str] = {}

    def simple(self, key: str, value: Any) -> bool:
        """Store a plain tensor whose key says everything; False where the value needs `encode`."""
        if not isinstance(value, Tensor) or _is_wrapper(value) or not value.is_contiguous():
            return False
        if self._away(value) or self._identity(value) in self._seen:
            return False
        self._store(key, value)
        return True

    def encode(self, key: str, value: Any) -> JSON:
        """The value as JSON; its tensors are stored under `key` and what follows it.

        Raises:
            TypeError: There is no way to save it.
        """
        if value is None or type(value) in (bool, int, float, str):
            return value  # type: ignore[no-any-return]
        if isinstance(value, Tensor):
            return self._tensor(key, value)
        if isinstance(value, dict):
            pairs = [[self.encode(f"{key}.k{n}", k), self.encode(f"{key}.{n}", v)] for n, (k, v) in _numbered(value)]
            return {"dict": pairs}
        if isinstance(value, (list, tuple, deque)):
            items = [self.encode(f"{key}.{n}", item) for n, item in enumerate(value)]
            if isinstance(value, deque):
                return {"deque": items, "longest": value.maxlen}
            return {"tuple" if isinstance(value, tuple) else "list": items}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, (int, float)):  # an enumeration's or numpy's
            return float(value) if isinstance(value, float) else int(value)
        return self._object(key, value)

    def _tensor(self, key: str, value: Tensor) -> JSON:
        if _is_wrapper(value):
            names, context = value.__tensor_flatten__()  # type: ignore[attr-defined]
            inner = {name: vars(value)[name] for name in names}
            return {
                "subclass": _known(value),
                "tensors": self.encode(f"{key}.t", inner),
                "context": self.encode(f"{key}.c", list(context)),
            }
        identity = self._identity(value)
        if identity not in self._seen:
            self._store(key, value)
        found: dict[str, JSON] = {"tensor": self._seen.get(identity, key)}
        if not value.is_contiguous():
            found["stride"] = list(value.stride())
        if self._away(value):
            found["device"] = str(value.device)
        return found

    def _object(self, key: str, value: object) -> JSON:
        return {"object": _known(value), "values": self.encode(f"{key}.v", vars(value))}

    def _store(self, key: str, value: Tensor) -> None:
        self.tensors[self._prefix + key] = value.detach()
        if value.numel():
            self._seen[self._identity(value)] = key

    def _away(self, value: Tensor) -> bool:
        return value.ndim == 0 and value.device != self._home

    @staticmethod
    def _identity(value: Tensor) -> tuple[Any, ...]:
        return value.data_ptr(), value.dtype, value.device, tuple(value.shape), value.stride()


def decode(value: Any, tensors: Callable[[str], Tensor], home: torch.device) -> Any:
    """The inverse of `Encoder.encode`.

    Args:
        value: JSON.
        tensors: From key to tensor; the same key gives the same tensor.
        home: Where tensors go.

    Raises:
        CheckpointError: It is nothing that `encode` gives.
    """

    def again(inner: Any) -> Any:
        return decode(inner, tensors, home)

    if not isinstance(value, Mapping):
        return value
    match value:
        case {"tensor": key}:
            return _placed(tensors(key), value.get("stride"), value.get("device"))
        case {"subclass": name, "tensors": parts, "context": context}:
            return _class(name).__tensor_unflatten__(again(parts), again(context), None, None)
        case {"object": name, "values": values}:
            kind = _class(name)
            made = kind.__new__(kind)
            vars(made).update(again(values))
            return made
        case {"dict": pairs}:
            return {again(key): again(item) for key, item in pairs}
        case {"deque": items, "longest": longest}:
            return deque(map(again, items), maxlen=longest)
        case {"tuple": items}:
            return tuple(map(again, items))
        case {"list": items}:
            return list(map(again, items))
        case {"dtype": name}:
            return vars(torch)[name]
    raise CheckpointError(f"the checkpoint's optimizer state holds something unknown: {sorted(value)}")


def _is_wrapper(value: Tensor) -> bool:
    """Whether a tensor is made of others, as quantized ones are."""
    return bool(is_traceable_wrapper_subclass(value))


def _placed(tensor: Tensor, stride: list[int] | None, device: str | None) -> Tensor:
    if stride is not None:
        # Another order in memory would be other sums in a matrix product.
        strided = torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device)
        tensor = strided.copy_(tensor)
    return tensor if device is None else tensor.to(device)


def _known(value: object) -> str:
    name, module = type(value).__name__, type(value).__module__
    if CLASSES.get(name) != module:
        raise TypeError(f"the optimizer's state holds a {module}.{name}, which a checkpoint cannot")
    return name


def _class(name: str) -> Any:
    if name not in CLASSES:
        raise CheckpointError(f"the checkpoint's optimizer state holds an object of the unknown class {name!r}")
    return vars(importlib.import_module(CLASSES[name]))[name]


def _numbered(values: dict[Any, Any]) -> list[tuple[int, tuple[Any, Any]]]:
    return list(enumerate(values.items()))
