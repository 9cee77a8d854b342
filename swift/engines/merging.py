"""Adding an adapter's update to the weights for good."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from swift.engines.adapters import attach
from swift.errors import CheckpointError, ConfigError, ModelError
from swift.models.quantize.layers import quantized_layers
from swift.tuners.attach import read_adapter_config
from swift.tuners.extra import extra_config
from swift.tuners.methods import NOT_MERGED


def merge(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The model with one adapter merged into its weights.

    Each layer's sum is made in float32 and then rounded once to the layer's own type.

    Args:
        model: The base model; it is changed.
        folder: The adapter in PEFT's format.

    Raises:
        ModelError: The weights are quantized, so that the sum cannot be stored.
        CheckpointError: `folder` holds no adapter, one for another model, or one that is not finite.
    """
    refuse_quantized(model)
    require_mergeable([folder])
    return merge_attached(attach(model, {"default": folder}, dtype=torch.float32).tuned, folder)


def merge_attached(tuned: Any, folder: Path) -> PreTrainedModel:
    """As `merge`, for an adapter called `default` that is attached already, in float32."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    shared = _shared_parameters(tuned)
    for layer in [module for module in tuned.modules() if isinstance(module, BaseTunerLayer)]:
        base = layer.get_base_layer()
        _separate(base, shared)
        kept = {name: parameter.dtype for name, parameter in base.named_parameters(recurse=False)}
        base.float()
        try:
            layer.merge(safe_merge=True, adapter_names=["default"])
        except ValueError as error:
            raise CheckpointError(
                f"the adapter in {folder} cannot be merged: {error}",
                hint="it stays apart from the model: swift infer --adapters without --merge_lora",
            ) from error
        for name, dtype in kept.items():
            parameter = base.get_parameter(name)
            parameter.data = parameter.data.to(dtype)
    with warnings.catch_warnings():
        # PEFT reports that head and embeddings are no longer tied, which it also writes to the configuration.
        warnings.simplefilter("ignore", UserWarning)
        return cast(PreTrainedModel, tuned.merge_and_unload())


def require_mergeable(folders: Iterable[Path]) -> None:
    """Make sure that adapters can be merged, from their files alone.

    Raises:
        ConfigError: One changes no weights.
        CheckpointError: A folder holds no adapter.
    """
    for folder in folders:
        own = extra_config(folder)
        if own is not None:
            kind = own.type
        else:
            saved = read_adapter_config(folder)
            kind = saved.peft_type.value.lower()
            if not saved.is_prompt_learning and kind not in NOT_MERGED:
                continue
        raise ConfigError(
            f"the adapter in {folder} is of the type {kind}, which cannot be merged into weights",
            hint="it stays apart from the model: swift infer --adapters without --merge_lora",
        )


def refuse_quantized(model: PreTrainedModel) -> None:
    """Make sure that weights are plain numbers.

    Raises:
        ModelError: They are quantized.
    """
    if quantized_layers(model):
        raise quantized_error()


def quantized_error() -> ModelError:
    """What to tell who would merge into quantized weights."""
    return ModelError(
        "an adapter cannot be merged into quantized weights without losing what it learned",
        hint="merge into 16 bits: --quant_method none, and where the model itself is quantized, name its original "
        "with --model",
    )


def _shared_parameters(model: nn.Module) -> set[int]:
    """Parameters that stand in more than one module, such as tied embeddings."""
    uses = Counter(
        id(parameter)
        for module in model.modules()
        for _, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    )
    return {number for number, count in uses.items() if count > 1}


def _separate(layer: nn.Module, shared: set[int]) -> None:
    """Give a layer its own copy of a shared weight: the other layer does not get the update."""
    for name, parameter in list(layer.named_parameters(recurse=False)):
        if id(parameter) in shared:
            layer.register_parameter(name, nn.Parameter(parameter.detach().clone(), requires_grad=False))
