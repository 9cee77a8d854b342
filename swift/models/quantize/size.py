"""Bytes and elements of weights, quantized or not, real or planned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from swift.config.quantization import BnbConfig, HqqConfig, NoQuantization, QuantizationConfig
from swift.models.quantize import bnb, hqq, torchao
from swift.models.quantize.checkpoint import checkpoint_bits, quantization_of
from swift.models.quantize.layers import is_quantized, library_of, number_type, sizes
from swift.models.quantize.method import layers_to_quantize
from swift.models.structure import linear_layer_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_STORED: dict[str, Callable[[nn.Module], list[Tensor]]] = {"bitsandbytes": bnb.stored, "hqq": hqq.stored}
"""Libraries that keep tensors beside a layer's parameters and buffers."""


def weight_bytes(model: nn.Module) -> int:
    """What the model's weights take as they are loaded: scales and the like counted, tied ones once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(model))


def weight_elements(model: nn.Module) -> int:
    """Number of weights, however few bits each has; tied ones once."""
    total, seen = 0, set()
    for module in model.modules():
        quantized = is_quantized(module) and "in_features" in vars(module)
        if quantized:
            inputs, outputs = sizes(module)
            total += inputs * outputs
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen and not (quantized and name != "bias"):
                seen.add(id(parameter))
                total += parameter.numel()
    return total


def planned_bytes(model: PreTrainedModel, config: QuantizationConfig) -> int:
    """What `weight_bytes` will be of a model that is on the meta device, with its layers as they are before."""
    dtype = number_type(model)
    modules = dict(model.named_modules())
    found = quantization_of(model.config)
    quantized = linear_layer_names(model) if found is not None else layers_to_quantize(model, config)
    stored = None if found is None else checkpoint_bits(found)
    bits = {id(modules[name].weight): _bits(config, stored, modules[name], dtype) for name in quantized}
    return int(sum(p.numel() * bits.get(id(p), 8 * p.element_size()) / 8 for p in model.parameters()))


def _bits(config: QuantizationConfig, stored: float | None, layer: nn.Module, dtype: torch.dtype) -> float:
    inputs, _ = sizes(layer)
    if stored is not None or isinstance(config, NoQuantization):
        return stored or 8.0 * dtype.itemsize
    if isinstance(config, BnbConfig):
        return bnb.bits_per_weight(config, inputs)
    if isinstance(config, HqqConfig):
        return hqq.bits_per_weight(config, dtype)
    return torchao.bits_per_weight(config, inputs, dtype)


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    seen = set()
    for module in model.modules():
        own = [parameter.data for parameter in module.parameters(recurse=False)]
        if is_quantized(module):
            collect = _STORED.get(library_of(module))
            own = [*own, *module.buffers(recurse=False)] if collect is None else collect(module)
        for tensor in own:
            for plain in _inner(tensor):
                key = (plain.data_ptr(), plain.numel()) if plain.device.type != "meta" else id(plain)
                if key not in seen:
                    seen.add(key)
                    yield plain


def _inner(tensor: Any) -> Iterator[Tensor]:
    """The plain tensors that a tensor class of a library is made of."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _inner(vars(tensor)[name])
