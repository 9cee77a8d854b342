"""The model with its tuner, without weights: every shape and type is there, and takes no memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from swift.config.sft import SftConfig
from swift.config.tuner import (
    AdapterConfig,
    BoftConfig,
    BottleneckConfig,
    LayerAdapterConfig,
    LoraConfig,
    OftConfig,
    ReftConfig,
    TunerConfig,
)
from swift.errors import ConfigError
from swift.hub import Located
from swift.models.load import load_config, resolve_dtype
from swift.models.quantize.checkpoint import describe_checkpoint, quantization_of
from swift.models.quantize.method import describe, layers_to_quantize, require_libraries, require_loadable
from swift.models.quantize.method import skeleton as bare
from swift.models.quantize.qat import require_shapes as require_qat_shapes
from swift.models.quantize.size import planned_bytes
from swift.models.quiet import quiet
from swift.tuners.attach import load_shapes
from swift.tuners.build import Start, require_kind, tune
from swift.tuners.lora import LOOKING, MAKING_UP, init_of
from swift.tuners.methods import peft_config
from swift.tuners.targets import require_plain
from swift.tuners.technique import Technique

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def skeleton(config: SftConfig, located: Located, device: torch.device) -> nn.Module:
    """The model that training would make, on the meta device.

    Args:
        located: Only its configuration is read.
        device: Where training would run; decides the type of the weights.

    Raises:
        ModelError: The architecture generates no text.
        ConfigError: The tuner does not fit the model.
        CheckpointError: What training goes on from is no adapter, one of another kind, or of another model.
    """
    return tuned_skeleton(config, bare_skeleton(config, located, device)).model


def bare_skeleton(config: SftConfig, located: Located, device: torch.device) -> PreTrainedModel:
    """The model without its tuner, on the meta device; see `skeleton`.

    Raises:
        ModelError: The architecture generates no text.
    """
    trust = config.model.trust_remote_code
    hf_config = load_config(located, trust_remote_code=trust)
    return bare(hf_config, trust_remote_code=trust, dtype=resolve_dtype(config.model, hf_config, device))


def tuned_skeleton(config: SftConfig, model: PreTrainedModel) -> Technique:
    """The technique that training would make of `model`, which is on the meta device.

    Raises:
        ConfigError: The tuner, the quantization or the rounding does not fit the model.
        CheckpointError: What training goes on from is no adapter, one of another kind, or of another model.
    """
    quantized = layers_to_quantize(model, config.model.quantization)
    if isinstance(config.tuner, AdapterConfig):
        require_plain(config.tuner.modules_to_save, quantized)
    if config.qat.scheme != "none":
        require_qat_shapes(model, config.qat)
    folder = Path(config.adapters[0]) if config.adapters else None
    if folder is not None:
        require_kind(folder, config.tuner)
    with torch.device("meta"), quiet():
        if isinstance(config.tuner, BoftConfig):
            peft_config(model, config.tuner)  # what does not fit is refused here: it is planned as another
        if folder is not None and not isinstance(config.tuner, BottleneckConfig | ReftConfig):
            return Technique(load_shapes(model, folder), adapter=True)
        return tune(model, _as_planned(config.tuner), Start(adapter=folder))


def require_trainable(config: SftConfig, name: str, hf_config: PreTrainedConfig, device: torch.device) -> None:
    """Make sure, before weights are read, that what is quantized can be held on `device` and trained as configured.

    Raises:
        ConfigError: Weights that are quantized in the checkpoint were to be trained themselves.
        SwiftError: See `require_loadable`.
    """
    found = quantization_of(hf_config)
    if found is not None and not isinstance(config.tuner, LoraConfig):
        raise ConfigError(
            f"weights of {name} are quantized ({describe_checkpoint(found)}) and cannot be trained themselves",
            hint="--tuner_type lora, or name the 16-bit original",
        )
    if found is not None and config.loop.compile_blocks:
        raise ConfigError(
            f"torch_compile is not proved over quantized layers, as {name} has ({describe_checkpoint(found)})",
            hint="leave out --torch_compile",
        )
    require_loadable(name, config.model, hf_config, device, training=True)
    if config.qat.scheme != "none":
        require_libraries(("torchao",), f"--qat {config.qat.scheme}")


def stored_bytes(config: SftConfig, located: Located, device: torch.device) -> int | None:
    """What the weights will take where they are quantized; None where they are plain numbers."""
    hf_config = load_config(located, trust_remote_code=config.model.trust_remote_code)
    if describe(config.model, hf_config) is None:
        return None
    dtype = resolve_dtype(config.model, hf_config, device)
    model = bare(hf_config, trust_remote_code=config.model.trust_remote_code, dtype=dtype)
    return planned_bytes(model, config.model.quantization)


def _as_planned(tuner: TunerConfig) -> TunerConfig:
    """The adapter's shape, without an initialisation that needs rows or weights."""
    if isinstance(tuner, BoftConfig):  # PEFT computes with its weights at once; OFT has as many
        return OftConfig(rank=tuner.block_num, block_size=tuner.block_size, **_common(tuner))
    if not isinstance(tuner, LoraConfig):
        return tuner
    plain = LoraConfig(**tuner.model_dump(include=set(LoraConfig.model_fields) - {"type"}))
    return plain.model_copy(update={"init": "true"}) if init_of(plain.init) in (*LOOKING, *MAKING_UP) else plain


def _common(tuner: LayerAdapterConfig) -> dict[str, Any]:
    return tuner.model_dump(include=set(LayerAdapterConfig.model_fields) - {"type"})
