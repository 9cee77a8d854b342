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
from swift.models.structure import head_is_tied, linear_layer_names

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def add_lora(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """Freeze `model` and add a new adapter called `default`.

    Raises:
        ConfigError: No layer matches, or the initialisation is unknown.
    """
    from peft import PeftModel, get_peft_model

    peft_config = _peft_config(model, config)
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


def _peft_config(model: PreTrainedModel, config: LoraConfig) -> Any:
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
        modules_to_save=list(config.modules_to_save) or None,
        bias=config.bias,
        use_rslora=config.rslora,
        use_dora=config.dora,
        init_lora_weights=_init(config.init),
        task_type="CAUSAL_LM",
    )
    _use_our_layer(peft_config)
    return peft_config


def _use_our_layer(peft_config: Any) -> None:
    """PEFT's documented way of dispatching a layer type to another class."""
    from swift.tuners.lora_layer import LoraLinear

    peft_config._register_custom_module({nn.Linear: LoraLinear})


def _targets(model: PreTrainedModel, config: LoraConfig) -> str | list[str]:
    linear = linear_layer_names(model)
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
