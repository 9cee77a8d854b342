"""The model with its tuner, without weights: every shape and type is there, and takes no memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from swift.config.runs import SftConfig
from swift.config.tuner import BoftConfig, LayerAdapterConfig, LoraConfig, OftConfig, TunerConfig
from swift.errors import CheckpointError, ConfigError
from swift.hub import Located
from swift.models.load import load_config, resolve_dtype
from swift.models.quantize.checkpoint import describe_checkpoint, quantization_of
from swift.models.quantize.method import describe, require_libraries, require_loadable
from swift.models.quantize.method import skeleton as bare
from swift.models.quantize.size import planned_bytes
from swift.models.quiet import quiet
from swift.tuners.build import Start, tune

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def skeleton(config: SftConfig, located: Located, device: torch.device) -> nn.Module:
    """The model that training would make, on the meta device.

    Args:
        located: Only its configuration is read.
        device: Where training would run; decides the type of the weights.

    Raises:
        ModelError: The architecture generates no text.
        ConfigError: The tuner does not fit the model.
    """
    trust = config.model.trust_remote_code
    hf_config = load_config(located, trust_remote_code=trust)
    dtype = resolve_dtype(config.model, hf_config, device)
    model = bare(hf_config, trust_remote_code=trust, dtype=dtype)
    with torch.device("meta"), quiet():
        return tune(model, _as_planned(config.tuner, config.adapters), Start()).model


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


def _as_planned(tuner: TunerConfig, adapters: tuple[str, ...]) -> TunerConfig:
    """The adapter's shape, without an initialisation that needs weights; that of the adapter to go on from."""
    if isinstance(tuner, BoftConfig):  # PEFT computes with its weights at once; OFT has as many
        return OftConfig(rank=tuner.block_num, block_size=tuner.block_size, **_common(tuner))
    if not isinstance(tuner, LoraConfig):
        return tuner
    plain = LoraConfig(**tuner.model_dump(include=set(LoraConfig.model_fields) - {"type"}))
    shape = plain.model_copy(update={"init": "true"})
    if not adapters:
        return shape
    from peft.config import PeftConfig

    if not (Path(adapters[0]) / "adapter_config.json").is_file():
        raise CheckpointError(f"{adapters[0]} holds no adapter: adapter_config.json is missing")
    saved = PeftConfig.from_pretrained(adapters[0]).to_dict()
    targets = saved["target_modules"]
    pattern = {"target_regex": targets} if isinstance(targets, str) else {"targets": tuple(targets)}
    return shape.model_copy(update={"rank": int(saved["r"]), "dora": bool(saved.get("use_dora")), **pattern})


def _common(tuner: LayerAdapterConfig) -> dict[str, Any]:
    return tuner.model_dump(include=set(LayerAdapterConfig.model_fields) - {"type"})
