"""The model with its tuner, without weights: every shape and type is there, and takes no memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from swift.config.runs import SftConfig
from swift.config.tuner import BoftConfig, LayerAdapterConfig, LoraConfig, OftConfig, TunerConfig
from swift.errors import CheckpointError, ModelError
from swift.hub import Located
from swift.models.auto import auto_class
from swift.models.load import load_config, resolve_dtype
from swift.models.quiet import quiet
from swift.tuners.build import Start, tune


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
    with torch.device("meta"), quiet():
        try:
            model = auto_class(hf_config).from_config(hf_config, dtype=dtype, trust_remote_code=trust)
        except ValueError as error:
            raise ModelError(f"{located.id} is no model that generates text", hint="only those can be tuned") from error
        return tune(model, _as_planned(config.tuner, config.adapters), Start()).model


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
