"""LoftQ (arXiv 2310.08659): an adapter that begins as the best make-up for what quantization has rounded off.

One step of its algorithm 1: the quantized weights stay what they are, and the factors are the leading singular vectors
of the difference from the original ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor

from swift.errors import ConfigError
from swift.models.quantize.layers import is_quantized
from swift.models.weights import require_weights
from swift.tuners.attach import DEFAULT

if TYPE_CHECKING:
    from peft import PeftModel


@torch.no_grad()
def make_up_for_rounding(tuned: PeftModel, folder: Path) -> int:
    """Set the factors of every adapter over a quantized layer; returns how many there are.

    Args:
        tuned: With a LoRA adapter called `default`.
        folder: The original model's, with its weights as safetensors.

    Raises:
        ConfigError: No layer with an adapter is quantized, or its original weight is not in the files.
    """
    layers = dict(_quantized(tuned))
    if not layers:
        raise ConfigError("tuner.init is loftq, and no layer with an adapter is quantized", hint="--init_weights true")
    places = _places([file for file in require_weights(folder) if file.suffix == ".safetensors"])
    for name, layer in layers.items():
        key = _key(name, places)
        with safe_open(places[key], framework="pt") as file:
            original: Tensor = file.get_tensor(key)
        _set_factors(layer, original)
    return len(layers)


def _set_factors(layer: Any, original: Tensor) -> None:
    """`scaling B A` becomes the best approximation of its rank of the original weight less the rounded one."""
    from peft.utils.integrations import dequantize_module_weight

    base = layer.get_base_layer()
    rounded = dequantize_module_weight(base).float()
    left, right = _leading(original.to(rounded) - rounded, layer.r[DEFAULT])
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
            f"tuner.init loftq needs the original of {name}, and the model's files have no weight of that name",
            hint="--init_weights true",
        )
    return found[0]
