"""Adapters in PEFT's hands: new ones added to a model, saved ones loaded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from swift.errors import CheckpointError, ConfigError
from swift.models.quantize.layers import is_quantized

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

DEFAULT = "default"
"""The name of the one adapter that is trained."""

_LONGEST = 200


def add_adapter(model: PreTrainedModel, peft_config: Any, dtype: torch.dtype) -> PeftModel:
    """Freeze `model` and add a new adapter to it.

    Args:
        peft_config: PEFT's own configuration.
        dtype: Type of what is trained.

    Raises:
        ConfigError: PEFT refuses the options for this model.
    """
    from peft import PeftModel, get_peft_model

    base = tensors_of(model)
    try:
        with warnings.catch_warnings():
            # PEFT still reads an attribute that transformers has renamed.
            warnings.simplefilter("ignore", FutureWarning)
            tuned = get_peft_model(model, peft_config, autocast_adapter_dtype=False)
    except torch.OutOfMemoryError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:  # PEFT raises all of them for options that do not fit
        kind = str(peft_config.peft_type.value).lower()
        raise ConfigError(
            f"the adapter {kind} cannot be added: {_first_line(error)}", hint="see its options in docs/reference.md"
        ) from error
    set_adapter_type(tuned, dtype, base)
    assert isinstance(tuned, PeftModel)
    return tuned


def load_adapter(
    model: PreTrainedModel, folder: Path, *, trainable: bool, dtype: torch.dtype = torch.float32
) -> PeftModel:
    """Add the adapter saved in `folder` (PEFT's format).

    Args:
        model: The base model.
        folder: What a run saved.
        trainable: Whether training goes on.
        dtype: Type of what is trained then.

    Raises:
        CheckpointError: `folder` holds no adapter, or one for another model.
    """
    from peft import LoraConfig as PeftLoraConfig
    from peft import PeftModel

    peft_config = read_adapter_config(folder)
    peft_config.inference_mode = not trainable
    if type(peft_config) is PeftLoraConfig:
        use_our_layer(peft_config)
    base = tensors_of(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            tuned = PeftModel.from_pretrained(
                model, str(folder), is_trainable=trainable, config=peft_config, autocast_adapter_dtype=False
            )
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"the adapter in {folder} does not fit this model: {_first_line(error)}") from error
    if trainable:
        set_adapter_type(tuned, dtype, base)
    return tuned


def load_shapes(model: PreTrainedModel, folder: Path) -> PeftModel:
    """As `load_adapter`, for a model on the meta device: weights get the shapes that they have in the file.

    Raises:
        CheckpointError: `folder` holds no adapter, or one for another model.
    """
    from peft import LoraConfig as PeftLoraConfig
    from peft import PeftModel, get_peft_model, get_peft_model_state_dict

    peft_config = read_adapter_config(folder)
    peft_config.inference_mode = False
    if isinstance(peft_config, PeftLoraConfig):
        peft_config.init_lora_weights = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            tuned = get_peft_model(model, peft_config, autocast_adapter_dtype=False)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"the adapter in {folder} does not fit this model: {_first_line(error)}") from error
    planned = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    for name, shape in _saved_shapes(folder).items():
        if name in planned and shape != list(planned[name].shape):
            raise CheckpointError(
                f"the adapter in {folder} does not fit this model: {name} has the shape {shape}, and here it would "
                f"have {list(planned[name].shape)}",
                hint="name the model that it was trained on: --model",
            )
    assert isinstance(tuned, PeftModel)
    return tuned


def _saved_shapes(folder: Path) -> dict[str, list[int]]:
    """Shapes of an adapter's weights by name, from the head of its file; empty where it has another format."""
    from safetensors import SafetensorError, safe_open

    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {_first_line(error)}", hint="save it again") from error


def read_adapter_config(folder: Path) -> Any:
    """PEFT's configuration of a saved adapter.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    from peft.config import PeftConfig

    path = folder / "adapter_config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no adapter: {path.name} is missing", hint="name a folder that has one")
    try:
        saved = PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError) as error:
        why = f"unknown {error}" if isinstance(error, KeyError) else _first_line(error)
        raise CheckpointError(f"{path} is damaged: {why}", hint="save it again, or update peft") from error
    if saved.peft_type is None:
        raise CheckpointError(f"{path} is damaged: it names no peft_type", hint="save it again")
    return saved


def use_our_layer(peft_config: Any) -> None:
    """PEFT's documented way of dispatching a layer type to another class."""
    peft_config._register_custom_module({nn.Linear: _our_layer})


def _our_layer(target: nn.Module, adapter_name: str, **options: Any) -> nn.Module | None:
    """Our layer over plain weights; None leaves quantized ones, which are linear layers too, to PEFT's own."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    from swift.tuners.lora_layer import LoraLinear

    base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
    return None if is_quantized(base) else LoraLinear(target, adapter_name, **options)


def tensors_of(model: nn.Module) -> frozenset[int]:
    """What tells the tensors that a model holds now from those that come later."""
    return frozenset(id(tensor) for tensor in (*model.parameters(), *model.buffers()))


def set_adapter_type(model: nn.Module, dtype: torch.dtype, base: frozenset[int]) -> None:
    """What is trained gets this type, and so does all that an adapter has brought along, since it computes with both.

    Args:
        base: `tensors_of` the model before it had the adapter.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and (tensor.requires_grad or id(tensor) not in base):
            tensor.data = tensor.data.to(dtype)


def _first_line(error: Exception) -> str:
    """What an error says, in one line of a length that can be read."""
    told = " ".join(str(error).split()) or type(error).__name__
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."
