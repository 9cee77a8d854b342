"""Adapters over one base model, chosen by name for each request."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from swift.engines.base import BASE
from swift.errors import CheckpointError, ConfigError
from swift.models.quiet import quiet


class AdapterSwitch:
    """Makes one of several adapters, or none, the one that the model computes with.

    Args:
        tuned: The PEFT model that holds them.
        names: Their names, in the order in which they were loaded.
    """

    def __init__(self, tuned: Any, names: tuple[str, ...]) -> None:
        self.tuned = tuned
        self.names = names
        self._active: str | None = None

    def activate(self, name: str) -> None:
        """Compute with this adapter, or with the bare weights for `base`; free where that is so already."""
        if name == self._active:
            return
        tuner = self.tuned.base_model
        if name == BASE:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            tuner.set_adapter(name, inference_mode=True)
        self._active = name


def attach(model: PreTrainedModel, folders: Mapping[str, Path], *, dtype: torch.dtype) -> AdapterSwitch:
    """Load adapters into a model.

    Args:
        model: The base model; its linear layers are wrapped in place.
        folders: Adapter folders in PEFT's format, by name; at least one.
        dtype: Type of the adapters' weights. The model's own is what training computed with.

    Raises:
        ConfigError: A name is taken, or the adapter adds prompt tokens instead of weights.
        CheckpointError: A folder holds no adapter, or one for another model.
    """
    tuned: Any = None
    for name, folder in folders.items():
        if name == BASE or "." in name:
            raise ConfigError(f"an adapter cannot be called {name!r}", hint=f"name it: --adapters other={folder}")
        _require_weights(folder)
        try:
            with quiet(), warnings.catch_warnings():
                # what PEFT uses and transformers will rename is no news to the user
                warnings.simplefilter("ignore", FutureWarning)
                tuned = _add(model, tuned, name, folder)
        except (RuntimeError, ValueError, OSError) as error:
            first = str(error).strip().splitlines()[0]
            raise CheckpointError(f"the adapter in {folder} does not fit this model: {first}") from error
    _match_type(tuned, dtype)
    tuned.eval()
    return AdapterSwitch(tuned, tuple(folders))


def _add(model: PreTrainedModel, tuned: Any, name: str, folder: Path) -> Any:
    """The PEFT model with one more adapter, in float32: PEFT would else round it to the base weights' type."""
    from peft import PeftModel

    if tuned is None:
        return PeftModel.from_pretrained(model, str(folder), adapter_name=name, autocast_adapter_dtype=True)
    tuned.load_adapter(str(folder), adapter_name=name, autocast_adapter_dtype=True)
    return tuned


def _require_weights(folder: Path) -> None:
    from peft import PeftConfig

    if not (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder} holds no adapter: adapter_config.json is missing")
    config = PeftConfig.from_pretrained(str(folder))
    if config.is_prompt_learning:
        raise ConfigError(
            f"the adapter in {folder} is of type {config.peft_type}, which adds prompt tokens to the input",
            hint="this engine runs adapters that change weights, such as LoRA",
        )


def _match_type(tuned: Any, dtype: torch.dtype) -> None:
    for name, parameter in tuned.named_parameters():
        if tuned.base_model.prefix in name and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
