"""Activations in main memory between the forward and the backward pass, for accelerators with too little of their own.

What automatic differentiation saves is copied to main memory as soon as it is saved, and fetched when the backward
pass asks for it. With gradient checkpointing all that is saved are the inputs of the layers, so only these travel.
Weights stay where they are. Nothing is rounded, so the gradients are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from swift.models.recompute import Recipe, Saved, recompute_cheap

_SMALLEST = 1024**2  # bytes; less is not worth a copy


@dataclass(frozen=True, slots=True)
class Offload:
    """Where saved tensors go.

    Attributes:
        stream: Copies to main memory run on it, beside the computation; None copies in line.
        smallest: Bytes from which on a tensor is moved.
    """

    stream: torch.cuda.Stream | None = None
    smallest: int = _SMALLEST

    def hooks(self, model: nn.Module) -> saved_tensors_hooks:
        """A context for one forward pass of `model`, in which recipes and copies are kept instead of tensors."""
        weights = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
        return recompute_cheap(_Pass(self, weights).keep)


def make_offload(device: torch.device) -> Offload:
    """For a run on `device`."""
    return Offload(torch.cuda.Stream(device) if device.type == "cuda" else None)


_Place = tuple[Hashable, ...]
"""A tensor's storage, version, offset, type, shape and strides. While a storage is referred to, even weakly, no other
one has its number."""


class _Pass:
    """The tensors of one forward pass: what several layers save is copied once, whatever views they have of it."""

    def __init__(self, offload: Offload, weights: set[int]) -> None:
        self._offload = offload
        self._weights = weights
        self._copies: dict[_Place, tuple[StorageWeakRef, Recipe]] = {}

    def keep(self, tensor: Tensor) -> Tensor | Saved:
        """A copy in main memory in place of `tensor`, or `tensor` where that saves nothing."""
        if type(tensor) is not Tensor or tensor.nbytes < self._offload.smallest:
            return tensor
        storage = tensor.untyped_storage()
        if storage.data_ptr() in self._weights or storage.nbytes() < tensor.nbytes:
            return tensor
        flat = tensor.is_contiguous()
        shape = torch.Size((tensor.numel(),)) if flat else tensor.shape
        strides = (1,) if flat else tensor.stride()
        alive = StorageWeakRef(storage)
        place = (alive.cdata, tensor._version, tensor.storage_offset(), tensor.dtype, shape, strides)
        if place not in self._copies:
            self._copies[place] = (alive, Recipe(self._moved(tensor.detach())))
        _, recipe = self._copies[place]
        recipe.order(self.keep)
        return Saved(recipe, tensor.shape)

    def _moved(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Copy `tensor` to main memory; returns what fetches it."""
        stream = self._offload.stream
        host = torch.empty_like(tensor, device="cpu", pin_memory=stream is not None)
        if stream is None:
            host.copy_(tensor)
        else:
            stream.wait_stream(torch.cuda.current_stream(tensor.device))
            with torch.cuda.stream(stream):
                host.copy_(tensor, non_blocking=True)
            tensor.record_stream(stream)  # its memory is not used anew before it is copied
        return partial(_fetched, host, tensor.device, stream)


def _fetched(host: Tensor, device: torch.device, stream: torch.cuda.Stream | None) -> Tensor:
    if stream is None:
        return host.to(device)
    torch.cuda.current_stream(device).wait_stream(stream)
    return host.to(device, non_blocking=True)
