"""bitsandbytes, by transformers: 4 bits in blocks (arXiv 2305.14314), 8 bits in rows (arXiv 2208.07339)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from swift.config.quantization import BnbConfig
from swift.errors import ResourceError

LIBRARIES = ("bitsandbytes", "accelerate")

_BLOCK = 64  # weights to a scale, with 4 bits
_SCALE_BLOCK = 256  # scales to a scale, with double quantization


def require(config: BnbConfig, device: torch.device) -> None:
    """Make sure that the library computes on `device`.

    Raises:
        ResourceError: It does not.
    """
    from bitsandbytes import supported_torch_devices

    if device.type not in supported_torch_devices:
        known = ", ".join(sorted(supported_torch_devices))
        raise ResourceError(f"bitsandbytes does not run on {device}", hint=f"devices: {known}; or --quant_method hqq")


def options(config: BnbConfig, skip: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
    """Arguments of `from_pretrained`.

    Args:
        skip: Patterns of the linear layers that stay as they are.
        dtype: The model's type.
    """
    from transformers import BitsAndBytesConfig

    if config.bits == 8:
        # It tells every layer of every step that the inputs become 16 bit before they become 8 bit.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        eight = BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=config.threshold, llm_int8_skip_modules=list(skip)
        )
        return {"quantization_config": eight}
    four = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=config.quant_type,
        bnb_4bit_use_double_quant=config.double_quant,
        bnb_4bit_compute_dtype=dtype if config.compute_dtype == "auto" else getattr(torch, config.compute_dtype),
        bnb_4bit_quant_storage=getattr(torch, config.storage),
        llm_int8_skip_modules=list(skip),
    )
    return {"quantization_config": four}


def keep_trainable(model: nn.Module) -> None:
    """Keep the gradients of what is trained below 4-bit layers.

    On CPUs with AVX512-BF16 a layer packs its weights at its first call outside of training, into a form for which
    the library has no backward pass; from then on no gradient goes through it, with no more than a warning.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def bits_per_weight(config: BnbConfig, inputs: int) -> float:
    """With the scales; `inputs` is the length of a row."""
    if config.bits == 8:
        return 8 + 32 / inputs
    scale = 8 + 32 / _SCALE_BLOCK if config.double_quant else 32
    return 4 + scale / _BLOCK


def stored(layer: nn.Module) -> list[Tensor]:
    """Every tensor of a quantized layer."""
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    found = [p.data for p in layer.parameters(recurse=False)]
    weight: Any = layer.weight
    if isinstance(layer, Linear8bitLt):
        scales = layer.state.SCB if layer.state.SCB is not None else weight.SCB
        return found if scales is None else [*found, scales]
    assert isinstance(layer, Linear4bit)
    state = weight.quant_state
    tensors = [state.absmax, state.code]
    if state.nested:
        tensors += [state.offset, state.state2.absmax, state.state2.code]
    return found + tensors


def describe(config: BnbConfig) -> str:
    """In words."""
    if config.bits == 8:
        return f"bitsandbytes, 8 bits, {'no' if config.threshold == 0 else f'{config.threshold:g} as'} threshold"
    return f"bitsandbytes, 4 bits {config.quant_type}{', double quantization' if config.double_quant else ''}"
