"""From the options to what `from_pretrained` is given and what is done after it; every check comes before weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from swift.config.model import ModelConfig
from swift.config.quantization import BnbConfig, HqqConfig, NoQuantization, QuantizedConfig, TorchaoConfig
from swift.errors import ConfigError, MissingExtraError, ModelError, UnknownNameError
from swift.models.auto import auto_class
from swift.models.quantize import bnb, hqq, torchao
from swift.models.quantize.checkpoint import describe_checkpoint, is_known, quantization_of, require_checkpoint
from swift.models.quantize.layers import is_linear, library_of, sizes
from swift.models.quiet import quiet
from swift.models.structure import linear_layer_names

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model gets its quantized weights.

    Attributes:
        options: Further arguments of `from_pretrained`.
        convert: Called with the loaded model, in place.
        names: Layers that get quantized, by full name.
    """

    options: dict[str, Any] = field(default_factory=dict)
    convert: Callable[[PreTrainedModel], None] | None = None
    names: tuple[str, ...] = ()


def require_loadable(
    name: str, config: ModelConfig, hf_config: PreTrainedConfig, device: torch.device, *, training: bool
) -> None:
    """Make sure, before weights are read, that they can be held as the options or the checkpoint say, on `device`.

    Args:
        name: The model's.
        training: Whether adapters are to be trained on it.

    Raises:
        ConfigError: The checkpoint is quantized already.
        MissingExtraError: A library is not installed.
        ResourceError: The method does not run on the device.
        ModelError: The checkpoint cannot be used.
    """
    found, wanted = quantization_of(hf_config), config.quantization
    if found is not None:
        if not isinstance(wanted, NoQuantization):
            raise ConfigError(
                f"weights of {name} are quantized already ({describe_checkpoint(found)})",
                hint=f"take out --quant_method {wanted.type}, or name the 16-bit original",
            )
        require_checkpoint(name, found, device, training=training)
    if isinstance(wanted, NoQuantization):
        return
    module = {"bnb": bnb, "hqq": hqq, "torchao": torchao}[wanted.type]
    require_libraries(module.LIBRARIES, f"--quant_method {wanted.type}")
    if isinstance(wanted, BnbConfig):
        bnb.require(wanted, device)
    elif isinstance(wanted, HqqConfig):
        hqq.require(wanted, device)
    else:
        torchao.require(wanted, device)


def require_libraries(names: tuple[str, ...], why: str) -> None:
    """Make sure that libraries of the extra `quant` are installed.

    Raises:
        MissingExtraError: One is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(name, extra="quant", why=why)


def loading(config: ModelConfig, hf_config: PreTrainedConfig, device: torch.device, dtype: torch.dtype) -> Loading:
    """What to give `from_pretrained`, and what to do after it. See `require_loadable` for what is checked first.

    Raises:
        ConfigError: No layer can be quantized, or one cannot be cut into groups of this size.
        UnknownNameError: A name in modules_to_not_convert matches nothing.
    """
    wanted, found = config.quantization, quantization_of(hf_config)
    place = {} if config.device_map is not None else {"device_map": {"": str(device)}}
    if isinstance(wanted, NoQuantization):
        return Loading(place if found is not None and is_known(found) else {})
    model = skeleton(hf_config, trust_remote_code=config.trust_remote_code)
    names = tuple(layers_to_quantize(model, wanted))
    linear = [name for name, module in model.named_modules() if is_linear(module)]
    # Anchored by transformers; a name that stood as it is would also match where others end with it.
    skip = [re.escape(name) for name in linear if name not in set(names)]
    if isinstance(wanted, BnbConfig):
        return Loading(bnb.options(wanted, skip, dtype) | place, names=names)
    if isinstance(wanted, TorchaoConfig):
        return Loading(torchao.options(wanted, skip) | place, names=names)
    return Loading(convert=partial(hqq.convert, names=names, config=wanted, device=device, dtype=dtype), names=names)


def keep_trainable(model: PreTrainedModel) -> None:
    """Make sure that gradients go through quantized layers to the adapters below them."""
    if any("bitsandbytes" in map(library_of, layer.parameters(recurse=False)) for layer in model.modules()):
        bnb.keep_trainable(model)


def skeleton(
    hf_config: PreTrainedConfig, *, trust_remote_code: bool, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """The model without weights, on the meta device, its layers plain.

    Raises:
        ModelError: The architecture generates no text.
    """
    with quiet(), torch.device("meta"):
        try:
            model: PreTrainedModel = auto_class(hf_config).from_config(
                hf_config, dtype=dtype, trust_remote_code=trust_remote_code
            )
        except ValueError as error:
            kind = hf_config.model_type
            raise ModelError(f"{kind} is no model that generates text", hint="only those can be tuned") from error
    return model


def layers_to_quantize(model: PreTrainedModel, config: NoQuantization | QuantizedConfig) -> list[str]:
    """Full names of the layers that get quantized: linear ones of the language model that `all-linear` means.

    Raises:
        ConfigError: There is none, or one cannot be cut into groups of this size.
        UnknownNameError: A name in modules_to_not_convert matches nothing.
    """
    if isinstance(config, NoQuantization):
        return []
    modules = dict(model.named_modules())
    linear = linear_layer_names(model)
    kept: set[str] = set()
    for part in config.modules_to_not_convert:
        matching = {name for name in linear if f".{part}." in f".{name}."}
        if not matching and not any(f".{part}." in f".{name}." for name in modules):
            endings = sorted({piece for name in linear for piece in name.split(".") if not piece.isdigit()})
            raise UnknownNameError(
                "layer in --modules_to_not_convert:", part, endings, hint=f"layers have {', '.join(endings)}"
            )
        kept |= matching
    names = [name for name in linear if name not in kept and _is_taken(modules[name], config)]
    if not names:
        raise ConfigError(
            f"--quant_method {config.type} finds no layer to quantize in {type(model).__name__}",
            hint="take it out, or name less in --modules_to_not_convert",
        )
    if isinstance(config, HqqConfig | TorchaoConfig):
        rule = hqq.require_shape if isinstance(config, HqqConfig) else torchao.require_shape
        for name in names:
            rule(config, name, *sizes(modules[name]))  # type: ignore[arg-type]
    return names


def _is_taken(layer: nn.Module, config: QuantizedConfig) -> bool:
    """Whether the library replaces layers of this class. Only bitsandbytes takes GPT-2's transposed ones."""
    from transformers.pytorch_utils import Conv1D

    return type(layer) is nn.Linear or (isinstance(layer, Conv1D) and isinstance(config, BnbConfig))


def describe(config: ModelConfig, hf_config: PreTrainedConfig) -> str | None:
    """How weights are held, in words; None where they are plain numbers."""
    wanted, found = config.quantization, quantization_of(hf_config)
    if isinstance(wanted, BnbConfig):
        return bnb.describe(wanted)
    if isinstance(wanted, HqqConfig):
        return hqq.describe(wanted)
    if isinstance(wanted, TorchaoConfig):
        return torchao.describe(wanted)
    return None if found is None else describe_checkpoint(found)
