"""LoftQ and QERA: an adapter that begins as the best make-up for what quantization has rounded off.

LoftQ (arXiv 2310.08659) is here one step of its algorithm 1: the quantized weights stay what they are, and the factors
are the leading singular vectors of the difference from the original ones. QERA (arXiv 2410.06040, theorem 2) weighs
each column of the difference by how large the layer's inputs are there, so that the layer's output is what is nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from swift.errors import ConfigError
from swift.models.quantize.layers import is_quantized
from swift.models.weights import require_weights
from swift.tuners.attach import DEFAULT

if TYPE_CHECKING:
    from peft import PeftModel


@torch.no_grad()
def make_up_for_rounding(tuned: PeftModel, folder: Path, rows: Sequence[Callable[[], None]] = ()) -> int:
    """Set the factors of every adapter over a quantized layer; returns how many there are.

    Args:
        tuned: With a LoRA adapter called `default`, which changes nothing yet.
        folder: The original model's, with its weights as safetensors.
        rows: Each takes a row through the model. With some it is QERA, without LoftQ.

    Raises:
        ConfigError: No layer with an adapter is quantized, or its original weight is not in the files.
    """
    layers = dict(_quantized(tuned))
    if not layers:
        raise ConfigError(
            "tuner.init is loftq or qera, and no layer with an adapter is quantized", hint="--init_weights true"
        )
    sizes = _input_sizes(layers, rows) if rows else {}
    places = _places([file for file in require_weights(folder) if file.suffix == ".safetensors"])
    for name, layer in layers.items():
        key = _key(name, places)
        with safe_open(places[key], framework="pt") as file:
            original: Tensor = file.get_tensor(key)
        _set_factors(layer, original, sizes.get(name))
    return len(layers)


def _input_sizes(layers: dict[str, Any], rows: Sequence[Callable[[], None]]) -> dict[str, Tensor]:
    """The root mean square of each layer's inputs over all tokens: [in], relative to their mean."""
    squares: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found = inputs[0].detach().float().flatten(end_dim=-2).square().sum(0)
            squares[name] = squares[name] + found if name in squares else found

        return hook

    handles = [layer.register_forward_pre_hook(note(name)) for name, layer in layers.items()]
    try:
        for row in rows:
            row()
    finally:
        for handle in handles:
            handle.remove()
    roots = {name: found.sqrt() for name, found in squares.items()}
    # An input that is always zero would make its column free; it keeps a small weight.
    return {name: (root / root.mean()).clamp_min(1e-3) for name, root in roots.items() if root.any()}


def _set_factors(layer: Any, original: Tensor, sizes: Tensor | None) -> None:
    """`scaling B A` becomes the best approximation of its rank of the original weight less the rounded one.

    Args:
        layer: The LoRA layer.
        original: [out, in].
        sizes: How much each column of an error weighs: [in]; alike without.
    """
    from peft.utils.integrations import dequantize_module_weight

    base = layer.get_base_layer()
    rounded = dequantize_module_weight(base).float()
    error = original.to(rounded) - rounded
    if sizes is None:
        left, right = _leading(error, layer.r[DEFAULT])
    else:
        left, right = _leading(error * sizes, layer.r[DEFAULT])
        right = right / sizes
    layer.lora_A[DEFAULT].weight.copy_(right)
    layer.lora_B[DEFAULT].weight.copy_(left / layer.scaling[DEFAULT])


def _leading(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors [rows, rank] and [rank, columns] of alike size, whose product is the best approximation of that rank.

    By the eigenvectors of the smaller Gram matrix, which take a fraction of the time of singular vectors.
    """
    if matrix.shape[0] < matrix.shape[1]:
        right, left = _leading(matrix.T, rank)
        return left.T, right.T
    values, vectors = torch.linalg.eigh(matrix.T @ matrix)  # the smallest come first
    values, vectors = values[-rank:], vectors[:, -rank:]
    root = values.clamp_min(torch.finfo(values.dtype).tiny).sqrt().sqrt()
    return matrix @ vectors / root, root[:, None] * vectors.T


def _quantized(tuned: PeftModel) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    for name, module in tuned.get_base_model().named_modules():
        if isinstance(module, LoraLayer) and is_quantized(module.get_base_layer()):
            yield name, module


def _places(files: list[Path]) -> dict[str, Path]:
    """The file of every weight, by its name."""
    places: dict[str, Path] = {}
    for path in files:
        with safe_open(path, framework="pt") as file:
            places |= dict.fromkeys(file.keys(), path)
    return places


def _key(name: str, places: dict[str, Path]) -> str:
    """A layer's weight by the name that the files have for it, with or without what the model puts before it."""
    wanted = f"{name}.weight"
    found = [key for key in places if key == wanted or wanted.endswith(f".{key}") or key.endswith(f".{wanted}")]
    if len(found) != 1:
        raise ConfigError(
            f"loftq and qera need the original of {name}, and the model's files have no weight of that name",
            hint="--init_weights true",
        )
    return found[0]
