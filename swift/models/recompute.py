"""Saved tensors that are cheaper to compute again than to keep.

What a norm or a gated activation puts out is elementwise in tensors that its own backward pass keeps anyway; yet the
linear layers that read it keep it too, and so do adapters. With the hooks of `recompute_cheap` in place they keep a
recipe instead. A layer of today then keeps about a third less, at the price of a few passes over memory and of no
matrix product (selective recomputation, arXiv 2205.05198, section 5, at its cheapest point).

What has no recipe is kept as it is, or where the caller of `recompute_cheap` says: in main memory, say.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def recomputable(output: Tensor, compute: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Let whoever saves `output` for a backward pass keep `compute` instead; returns `output`.

    Args:
        output: As it stands; once written to in place it is saved like any other tensor.
        compute: Gives the same values in the same order, from `inputs`; holds no tensor itself.
        inputs: Tensors that are kept anyway; those that `output` was made from.
    """
    if torch.compiler.is_compiling():
        return output  # what a compiled graph keeps is up to its compiler
    address = output.data_ptr() if output.requires_grad else 0
    if address:
        # The entry lives as long as the tensor does, and so long nothing else can have its address.
        alive = weakref.ref(output, lambda _: _recipes.pop(address, None))
        _recipes[address] = _Entry(alive, output._version, Recipe(compute, *(x.detach() for x in inputs)))
    return output


def recompute_cheap(keep: Keep | None = None) -> saved_tensors_hooks:
    """A context in which forward passes keep recipes where they can.

    Args:
        keep: How other tensors are kept; default: as they are.
    """
    return saved_tensors_hooks(partial(_pack, keep=keep or _as_it_is), _unpack)


class Recipe:
    """Computes once for all who wait for it: the layers that read one tensor go backward one after the other.

    Args:
        compute: Gives the tensor.
        inputs: What from; they are kept like other saved tensors from the first `order` on.
    """

    __slots__ = ("_compute", "_inputs", "_value", "_waiting")

    def __init__(self, compute: Callable[..., Tensor], *inputs: Tensor) -> None:
        self._compute = compute
        self._inputs: tuple[Tensor | Saved, ...] = inputs
        self._value: Tensor | None = None
        self._waiting = 0

    def order(self, keep: Keep) -> None:
        """One more waits."""
        self._inputs = tuple(keep(x) if isinstance(x, Tensor) else x for x in self._inputs)
        self._waiting += 1

    def fetch(self) -> Tensor:
        """The tensor; forgotten when the last one has it."""
        value = self._value
        if value is None:
            with torch.no_grad():
                value = self._compute(*map(_unpack, self._inputs))
        self._waiting -= 1
        self._value = value if self._waiting > 0 else None
        return value


@dataclass(frozen=True, slots=True)
class Saved:
    """In a saved tensor's place: its recipe, and its shape."""

    recipe: Recipe
    shape: torch.Size


Keep = Callable[[Tensor], "Tensor | Saved"]
"""How a tensor is kept for the backward pass."""


@dataclass(frozen=True, slots=True)
class _Entry:
    output: weakref.ref[Tensor]
    version: int
    recipe: Recipe


_recipes: dict[int, _Entry] = {}
"""By the address of the data of the tensor that can be computed again."""


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _pack(tensor: Tensor, keep: Keep = _as_it_is) -> Tensor | Saved:
    entry = _recipes.get(tensor.data_ptr()) if type(tensor) is Tensor else None
    output = None if entry is None else entry.output()
    if entry is None or output is None or output._version != entry.version:
        return keep(tensor)
    if tensor.dtype != output.dtype or tensor.numel() != output.numel() or not tensor.is_contiguous():
        return keep(tensor)
    entry.recipe.order(keep)
    return Saved(entry.recipe, tensor.shape)


def _unpack(saved: Tensor | Saved) -> Tensor:
    return saved.recipe.fetch().view(saved.shape) if isinstance(saved, Saved) else saved
