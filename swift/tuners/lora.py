"""LoRA through PEFT, with our layer for `nn.Linear`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from swift.config.tuner import LoraConfig
from swift.errors import CheckpointError, ConfigError, UnknownNameError
from swift.models.parts import PARTS, part_modules
from swift.models.quantize.layers import is_quantized, quantized_layers
from swift.models.structure import head_is_tied, linear_layer_names
from swift.models.vocabulary import token_modules
from swift.tuners.freeze import frozen_parts

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def add_lora(model: PreTrainedModel, config: LoraConfig, new_tokens: Sequence[int] = ()) -> PeftModel:
    """Freeze `model` and add a new adapter called `default`.

    Args:
        model: The base model.
        config: Rank, layers and so on.
        new_tokens: Ids whose rows of the embeddings and the head are trained, too.

    Raises:
        ConfigError: No layer matches, or the initialisation is unknown.
    """
    from peft import PeftModel, get_peft_model

    peft_config = _peft_config(model, config, new_tokens)
    try:
        with warnings.catch_warnings():
            # PEFT still reads an attribute that transformers has renamed.
            warnings.simplefilter("ignore", FutureWarning)
            tuned = get_peft_model(model, peft_config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise ConfigError(f"LoRA cannot be added: {error}", hint="see tuner.targets and tuner.init") from error
    _set_adapter_type(tuned, getattr(torch, config.dtype))
    assert isinstance(tuned, PeftModel)
    return tuned


def load_lora(model: PreTrainedModel, folder: Path, *, trainable: bool, dtype: str = "float32") -> PeftModel:
    """Add the adapter saved in `folder` (PEFT's format).

    Raises:
        CheckpointError: `folder` holds no adapter, or one for another model.
    """
    from peft import LoraConfig as PeftLoraConfig
    from peft import PeftModel
    from peft.config import PeftConfig

    if not (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder} holds no adapter: adapter_config.json is missing")
    peft_config = PeftConfig.from_pretrained(str(folder))
    peft_config.inference_mode = not trainable
    if isinstance(peft_config, PeftLoraConfig):
        _use_our_layer(peft_config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            tuned = PeftModel.from_pretrained(
                model, str(folder), is_trainable=trainable, config=peft_config, autocast_adapter_dtype=False
            )
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"the adapter in {folder} does not fit this model: {first}") from error
    if trainable:
        _set_adapter_type(tuned, getattr(torch, dtype))
    return tuned


def _peft_config(model: PreTrainedModel, config: LoraConfig, new_tokens: Sequence[int]) -> Any:
    from peft import LoraConfig as PeftLoraConfig

    if set(config.modules_to_save) & {"lm_head", "embed_tokens"} and head_is_tied(model):
        raise ConfigError(
            "modules_to_save names the output head or the embeddings, which this model ties to each other",
            hint="train them with tuner.type: freeze or full, or leave them out",
        )
    peft_config = PeftLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=_targets(model, config),
        modules_to_save=_full_modules(model, config) or None,
        bias=config.bias,
        use_rslora=config.rslora,
        use_dora=config.dora,
        init_lora_weights=_init(config.init),
        trainable_token_indices={name: list(new_tokens) for name in token_modules(model)} if new_tokens else None,
        task_type="CAUSAL_LM",
    )
    _use_our_layer(peft_config)
    return peft_config


def _use_our_layer(peft_config: Any) -> None:
    """PEFT's documented way of dispatching a layer type to another class."""
    peft_config._register_custom_module({nn.Linear: _our_layer})


def _our_layer(target: nn.Module, adapter_name: str, **options: Any) -> nn.Module | None:
    """Our layer over plain weights; None leaves quantized ones, which are linear layers too, to PEFT's own."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    from swift.tuners.lora_layer import LoraLinear

    base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
    return None if is_quantized(base) else LoraLinear(target, adapter_name, **options)


def _targets(model: PreTrainedModel, config: LoraConfig) -> str | list[str]:
    linear = _layers_of_parts(model, config)
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
    if config.targets == ("all-linear",):
        return _shorten(linear, model)
    names = [name for name, _ in model.named_modules()]
    for target in config.targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            endings = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise UnknownNameError(
                "layer in tuner.targets:", target, endings, hint=f"linear layers: {', '.join(endings)}"
            )
    return list(config.targets)


def _layers_of_parts(model: PreTrainedModel, config: LoraConfig) -> list[str]:
    """Linear layers of the parts that get adapters: not frozen, and not trained in full anyway."""
    modules = part_modules(model)
    frozen = frozen_parts(config)
    wanted = [part for part in PARTS if part not in frozen and part not in config.full_parts]
    kept = {id(m) for part in PARTS if part not in wanted for outer in modules[part] for m in outer.modules()}
    names = linear_layer_names(model, [module for part in wanted for module in modules[part]]) if wanted else []
    by_name = dict(model.named_modules())
    layers = [name for name in names if id(by_name[name]) not in kept]
    if not layers:
        raise ConfigError(
            "LoRA has no layer: every part of the model is frozen",
            hint="--freeze_llm false, or for the towers --freeze_vit false and --freeze_aligner false",
        )
    return layers


def _full_modules(model: PreTrainedModel, config: LoraConfig) -> list[str]:
    """Names of the modules that are trained in full: those that the user names, and those of whole parts.

    Raises:
        ConfigError: The model has no such part.
    """
    names = {id(module): name for name, module in model.named_modules()}
    modules = part_modules(model)
    found = list(config.modules_to_save)
    for part in config.full_parts:
        if not modules[part]:
            raise ConfigError(f"tuner.full_parts names {part}, and the model has none", hint="leave it out")
        if part == "llm":
            raise ConfigError("tuner.full_parts names llm", hint="--tuner_type full trains the language model in full")
        found += [names[id(module)] for module in modules[part]]
    quantized = quantized_layers(model)
    for name in found:
        inside = [layer for layer in quantized if f".{name}." in f".{layer}."]
        if inside:
            raise ConfigError(
                f"{name} is to be trained in full, and its layer {inside[0]} is quantized",
                hint=f"leave it out, or keep it as it is: --modules_to_not_convert {name}",
            )
    # A module inside another that is trained in full would be copied twice.
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]


def _shorten(linear: Sequence[str], model: nn.Module) -> list[str]:
    """The shortest list of name endings that means exactly these layers, for a readable adapter_config.json."""
    wanted = set(linear)
    endings = {name.rsplit(".", 1)[-1] for name in linear}
    everything = [name for name, module in model.named_modules() if name.rsplit(".", 1)[-1] in endings]
    return sorted(endings) if set(everything) == wanted else list(linear)


def _init(name: str) -> Any:
    """PEFT's own values; it says which ones it knows."""
    return {"true": True, "false": False}.get(name.lower(), name)


def _set_adapter_type(model: nn.Module, dtype: torch.dtype) -> None:
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
