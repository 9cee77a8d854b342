"""What quantization does to each layer: the same inputs through the layer that it was and the one that it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swift.engines.shape import input_device
from swift.models.quantize.layers import number_type
from swift.models.structure import decoder_layers, generating

_ROWS = 4
_TOKENS = 256
"""Of each row: enough to tell layers apart, few enough to keep what goes into each of them."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """A linear layer, given the source's inputs.

    Attributes:
        name: Its full name.
        output: Length of the difference of its outputs over the length of the source's.
    """

    name: str
    output: float


@dataclass(frozen=True, slots=True)
class BlockError:
    """A decoder layer.

    Attributes:
        index: Which, from 0.
        own: Relative error of its output, given the source's input: what this layer does wrong.
        so_far: Relative error of its output in the whole model: what it and all before it do wrong.
    """

    index: int
    own: float
    so_far: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What went into the source's layers, and came out, on a few rows.

    Attributes:
        rows: Token ids of each.
        blocks: Of each decoder layer and row: arguments, keywords, output.
        linear: Of each linear layer and row: input and output.
    """

    rows: tuple[tuple[int, ...], ...]
    blocks: tuple[tuple[tuple[tuple[Any, ...], dict[str, Any], Tensor], ...], ...]
    linear: Mapping[str, tuple[tuple[Tensor, Tensor], ...]]


@torch.inference_mode()
def trace(model: PreTrainedModel, rows: Iterable[Sequence[int]], linear: Iterable[str]) -> Trace:
    """Run the source on a few rows, and keep what its layers see and say.

    Args:
        rows: Token ids; the first few are taken, the beginning of each.
        linear: Full names of linear layers; none where they cannot be compared one by one.
    """
    taken = tuple(tuple(row[:_TOKENS]) for _, row in zip(range(_ROWS), rows, strict=False))
    layers = decoder_layers(model)
    blocks: list[list[Any]] = [[] for _ in layers]
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in linear}

    def block_said(place: int, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        blocks[place].append((args, kwargs, _states(output)))

    def linear_said(name: str, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        found[name].append((args[0], output))

    hooks = [
        layer.register_forward_hook(partial(block_said, place), with_kwargs=True) for place, layer in enumerate(layers)
    ]
    hooks += [model.get_submodule(name).register_forward_hook(partial(linear_said, name)) for name in found]
    _run(model, taken, hooks)
    return Trace(taken, tuple(map(tuple, blocks)), {name: tuple(pairs) for name, pairs in found.items()})


@torch.inference_mode()
def compare_layers(model: PreTrainedModel, known: Trace) -> tuple[tuple[BlockError, ...], tuple[LayerError, ...]]:
    """The errors of the result's layers against what the source's did."""
    layers = decoder_layers(model)
    reached: list[list[Tensor]] = [[] for _ in layers]

    def said(place: int, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        reached[place].append(_states(output))

    known = _in_type(known, number_type(model))
    _run(model, known.rows, [layer.register_forward_hook(partial(said, place)) for place, layer in enumerate(layers)])
    blocks = []
    for place, (layer, rows) in enumerate(zip(layers, known.blocks, strict=True)):
        own = _relative((output, _states(layer(*args, **kwargs))) for args, kwargs, output in rows)
        so_far = _relative((output, mine) for (_, _, output), mine in zip(rows, reached[place], strict=True))
        blocks.append(BlockError(place, own, so_far))
    linear = [
        LayerError(name, _relative((output, model.get_submodule(name)(given)) for given, output in pairs))
        for name, pairs in known.linear.items()
        if pairs  # experts that no row reached have none
    ]
    return tuple(blocks), tuple(linear)


def _in_type(known: Trace, dtype: torch.dtype) -> Trace:
    """The same with what goes into layers in this type; what came out stays as it is."""

    def cast(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(dtype) if value.is_floating_point() else value
        return tuple(map(cast, value)) if isinstance(value, tuple) else value

    def named(values: dict[str, Any]) -> dict[str, Any]:
        return {name: cast(value) for name, value in values.items()}

    blocks = tuple(tuple((cast(args), named(more), output) for args, more, output in rows) for rows in known.blocks)
    return Trace(
        known.rows,
        blocks,
        {name: tuple((cast(given), output) for given, output in pairs) for name, pairs in known.linear.items()},
    )


def _run(model: PreTrainedModel, rows: Sequence[Sequence[int]], hooks: Sequence[Any]) -> None:
    try:
        for row in rows:
            generating(model)(input_ids=torch.tensor([list(row)], device=input_device(model)), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()


def _states(output: Any) -> Tensor:
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states


def _relative(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Length of the differences over the length of what they should be."""
    wrong = total = 0.0
    for expected, found in pairs:
        wrong += float((expected.double() - found.double()).square().sum())
        total += float(expected.double().square().sum())
    return (wrong / total) ** 0.5 if total else 0.0
