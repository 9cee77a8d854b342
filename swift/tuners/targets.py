"""Which layers get an adapter, and which are trained in full beside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from torch import nn

from swift.config.tuner import AdapterConfig, LayerAdapterConfig, LoraConfig
from swift.errors import ConfigError, UnknownNameError
from swift.models.parts import PARTS, part_modules
from swift.models.quantize.layers import quantized_layers
from swift.models.structure import decoder_layers, head_is_tied, linear_layer_names, residual_ends
from swift.tuners.freeze import frozen_parts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ALL_LINEAR = ("all-linear",)


def target_layers(model: PreTrainedModel, config: LayerAdapterConfig) -> str | list[str]:
    """What PEFT calls `target_modules`: a regular expression over full names, or names and name endings.

    Raises:
        ConfigError: Nothing matches, or the expression is wrong.
        UnknownNameError: A name is no layer's.
    """
    linear = linear_layers_of_parts(model, config)
    if config.target_regex is not None:
        try:
            pattern = re.compile(config.target_regex)
        except re.error as error:
            raise ConfigError(
                f"tuner.target_regex {config.target_regex!r} is not a regular expression: {error}"
            ) from error
        if not any(pattern.fullmatch(name) for name, _ in model.named_modules()):
            raise ConfigError(
                f"tuner.target_regex {config.target_regex!r} matches no layer", hint=f"layers look like {linear[0]}"
            )
        return config.target_regex
    if config.targets == ALL_LINEAR:
        return shorten(linear, model)
    names = [name for name, module in model.named_modules() if dict(module.named_parameters(recurse=False))]
    for target in config.targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            endings = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise UnknownNameError(
                "layer in tuner.targets:", target, endings, hint=f"linear layers: {', '.join(endings)}"
            )
    return list(config.targets)


def linear_layers_of_parts(model: PreTrainedModel, config: AdapterConfig) -> list[str]:
    """Linear layers of the parts that get adapters: not frozen, and not trained in full anyway.

    Raises:
        ConfigError: There is none.
    """
    modules = part_modules(model)
    frozen = frozen_parts(config)
    wanted = [part for part in PARTS if part not in frozen and part not in config.full_parts]
    kept = {id(m) for part in PARTS if part not in wanted for outer in modules[part] for m in outer.modules()}
    names = linear_layer_names(model, [module for part in wanted for module in modules[part]]) if wanted else []
    by_name = dict(model.named_modules())
    layers = [name for name in names if id(by_name[name]) not in kept]
    if not layers:
        raise ConfigError(
            f"tuner.type {config.type} has no layer: every part of the model is frozen",
            hint="--freeze_llm false, or for the towers --freeze_vit false and --freeze_aligner false",
        )
    return layers


def full_modules(model: PreTrainedModel, config: AdapterConfig) -> list[str]:
    """Names of the modules that are trained in full: those that the user names, and those of whole parts.

    Raises:
        ConfigError: The model has no such part, or a named module is tied to another.
    """
    names = {id(module): name for name, module in model.named_modules()}
    _require_saveable(model, config.modules_to_save, list(names.values()))
    modules = part_modules(model)
    found = list(config.modules_to_save)
    for part in config.full_parts:
        if not modules[part]:
            raise ConfigError(f"tuner.full_parts names {part}, and the model has none", hint="leave it out")
        found += [names[id(module)] for module in modules[part]]
    require_plain(found, quantized_layers(model))
    # A module inside another that is trained in full would be copied twice.
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]


def require_plain(names: Sequence[str], quantized: Collection[str]) -> None:
    """Make sure that modules which are trained in full hold plain numbers.

    Args:
        names: Of the modules, whole or endings.
        quantized: Full names of layers that are quantized.

    Raises:
        ConfigError: One does not.
    """
    for name in names:
        inside = [layer for layer in quantized if f".{name}." in f".{layer}."]
        if inside:
            raise ConfigError(
                f"{name} is to be trained in full, and its layer {inside[0]} is quantized",
                hint=f"leave it out, or keep it as it is: --modules_to_not_convert {name}",
            )


def _require_saveable(model: PreTrainedModel, wanted: Sequence[str], names: Sequence[str]) -> None:
    for name in wanted:
        if name in ("lm_head", "embed_tokens") and head_is_tied(model):
            raise ConfigError(
                f"tuner.modules_to_save names {name}, and this model ties its output head to its embeddings",
                hint="train them with --tuner_type freeze or full, or leave it out",
            )
        if not any(known == name or known.endswith(f".{name}") for known in names):
            endings = sorted({known.rsplit(".", 1)[-1] for known in names if known} - set(map(str, range(1000))))
            raise UnknownNameError(
                "layer in tuner.modules_to_save:", name, endings, hint=f"layers: {', '.join(endings)}"
            )


def target_parameters(model: PreTrainedModel, config: LoraConfig) -> list[str]:
    """What PEFT calls `target_parameters`: endings of parameters' names.

    Raises:
        UnknownNameError: One is no parameter's.
    """
    names = [name for name, _ in model.named_parameters()]
    for wanted in config.target_parameters:
        if not any(name == wanted or name.endswith(f".{wanted}") for name in names):
            endings = sorted({".".join(name.split(".")[-2:]) for name in names})
            raise UnknownNameError(
                "parameter in tuner.target_parameters:", wanted, endings, hint=f"parameters: {', '.join(endings)}"
            )
    return list(config.target_parameters)


def ends_of_sublayers(model: PreTrainedModel) -> list[str]:
    """The last linear layer of each attention and of each feed-forward network: full names.

    It is the one that leads back to the width of the hidden states, last in the order of the module tree.
    """
    names = {id(module): name for name, module in model.named_modules()}
    return [names[id(end)] for layer in decoder_layers(model) for end in residual_ends(layer)]


def shorten(linear: Sequence[str], model: nn.Module) -> list[str]:
    """The shortest list of name endings that means exactly these layers, for a readable adapter_config.json."""
    wanted = set(linear)
    endings = {name.rsplit(".", 1)[-1] for name in linear}
    everything = [name for name, module in model.named_modules() if name.rsplit(".", 1)[-1] in endings]
    return sorted(endings) if set(everything) == wanted else list(linear)
