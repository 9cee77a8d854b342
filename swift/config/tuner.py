"""What is trained: a tagged union, one class a technique."""

from typing import Annotated, Any, Literal

from pydantic import Field

from swift.config.option import option
from swift.config.tuner_adapters import (
    AdaLoraConfig,
    BoftConfig,
    FourierFtConfig,
    Ia3Config,
    LohaConfig,
    LokrConfig,
    LongLoraConfig,
    LoraConfig,
    MissConfig,
    NormConfig,
    OftConfig,
    PeftConfig,
    PrefixConfig,
    PromptConfig,
    PTuningConfig,
    TokensConfig,
    VeraConfig,
)
from swift.config.tuner_base import AdapterConfig, LayerAdapterConfig, PartsConfig

__all__ = [
    "PROMPTS",
    "AdaLoraConfig",
    "AdapterConfig",
    "BoftConfig",
    "BottleneckConfig",
    "FourierFtConfig",
    "FreezeConfig",
    "FullConfig",
    "Ia3Config",
    "LayerAdapterConfig",
    "LisaConfig",
    "LlamaProConfig",
    "LohaConfig",
    "LokrConfig",
    "LongLoraConfig",
    "LoraConfig",
    "MissConfig",
    "NormConfig",
    "OftConfig",
    "PTuningConfig",
    "PartsConfig",
    "PeftConfig",
    "PrefixConfig",
    "PromptConfig",
    "ReftConfig",
    "TokensConfig",
    "TunerConfig",
    "VeraConfig",
    "default_tuner",
]


class FullConfig(PartsConfig):
    """Every weight of the parts that are not frozen is trained."""

    type: Literal["full"] = "full"


class FreezeConfig(PartsConfig):
    """Part of the weights is trained in full."""

    type: Literal["freeze"] = "freeze"
    ratio: float = option(
        0.0,
        "Share of the decoder layers, from the bottom, that stays as it is.",
        "freeze_parameters_ratio",
        ge=0.0,
        le=1.0,
    )
    freeze: tuple[str, ...] = option((), "Name prefixes of parameters that stay as they are.", "freeze_parameters")
    freeze_regex: str | None = option(None, "A regular expression of such names.", "freeze_parameters_regex")
    train: tuple[str, ...] = option(
        (), "Name prefixes that are trained whatever the rest says.", "trainable_parameters"
    )
    train_regex: str | None = option(None, "A regular expression of such names.", "trainable_parameters_regex")


class LlamaProConfig(PartsConfig):
    """New decoder layers between the old ones, which begin as the identity (arXiv 2401.02415)."""

    type: Literal["llamapro"] = "llamapro"
    new_blocks: int = option(4, "Number of new layers.", "llamapro_num_new_blocks", ge=1)
    groups: int | None = option(
        None,
        "Groups of old layers that each get as many new ones; default: one new layer each.",
        "llamapro_num_groups",
        ge=1,
    )


class LisaConfig(PartsConfig):
    """Embeddings, head and a few layers that are drawn anew every so many steps (arXiv 2403.17919)."""

    type: Literal["lisa"] = "lisa"
    activated_layers: int = option(2, "Decoder layers that are trained at a time.", "lisa_activated_layers", ge=1)
    step_interval: int = option(20, "Steps for which they are.", "lisa_step_interval", ge=1)


class BottleneckConfig(LayerAdapterConfig):
    """A narrow network after attention and feed-forward network, before the residual is added (arXiv 1902.00751)."""

    type: Literal["adapter"] = "adapter"
    width: int = option(64, "Width of the network.", "adapter_length", ge=1)
    activation: Literal["gelu", "relu", "silu", "tanh"] = option("gelu", "Its activation function.", "adapter_act")


class ReftConfig(AdapterConfig):
    """Low-rank edits of hidden states (LoReFT, arXiv 2404.03592), at every position."""

    type: Literal["reft"] = "reft"
    rank: int = option(4, "Dimensions of a hidden state that are edited.", "reft_rank", ge=1)
    layers: tuple[int, ...] = option((), "Numbers of the decoder layers; default: all.", "reft_layers")


TunerConfig = Annotated[
    LoraConfig
    | FullConfig
    | FreezeConfig
    | AdaLoraConfig
    | Ia3Config
    | VeraConfig
    | BoftConfig
    | OftConfig
    | FourierFtConfig
    | LohaConfig
    | LokrConfig
    | MissConfig
    | NormConfig
    | TokensConfig
    | PromptConfig
    | PTuningConfig
    | PrefixConfig
    | LongLoraConfig
    | LlamaProConfig
    | LisaConfig
    | BottleneckConfig
    | ReftConfig
    | PeftConfig,
    Field(discriminator="type"),
]
"""Chosen by `tuner.type` (flag `--tuner_type`)."""


PROMPTS = (PromptConfig, PTuningConfig, PrefixConfig)
"""Techniques that put something in front of the input."""


def default_tuner() -> Any:
    """LoRA, the technique that fits the most machines."""
    return LoraConfig()
