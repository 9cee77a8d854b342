"""What is trained: a tagged union, one class a technique."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from swift.config.option import Config, option


class PartsConfig(Config):
    """Which parts of a multimodal model are trained. A text model is all language model."""

    freeze_llm: bool = option(False, "Leave the language model as it is.", "freeze_llm")
    freeze_vit: bool = option(True, "Leave the towers of pictures and sound as they are.", "freeze_vit")
    freeze_aligner: bool = option(
        True, "Leave what stands between the towers and the language model as it is.", "freeze_aligner"
    )


class LoraConfig(PartsConfig):
    """Low-rank adapters (arXiv 2106.09685) through PEFT, with its variants."""

    type: Literal["lora"] = "lora"
    rank: int = option(8, "Rank of the update.", "lora_rank", ge=1)
    alpha: float = option(32.0, "The update is scaled by alpha / rank.", "lora_alpha", gt=0)
    dropout: float = option(0.0, "Dropout on the adapter's input.", "lora_dropout", ge=0.0, lt=1.0)
    targets: tuple[str, ...] = option(
        ("all-linear",), "all-linear, or names, or name endings of the layers that get an adapter.", "target_modules"
    )
    target_regex: str | None = option(None, "A regular expression over full layer names, instead.", "target_regex")
    modules_to_save: tuple[str, ...] = option(
        (), "Layers trained in full and saved beside the adapter.", "modules_to_save"
    )
    full_parts: tuple[Literal["llm", "vit", "aligner"], ...] = option(
        (), "Parts trained in full and saved beside the adapter, such as an aligner that is new.", "full_parts"
    )
    bias: Literal["none", "all", "lora_only"] = option("none", "Which biases are trained.", "lora_bias")
    rslora: bool = option(False, "Scale by alpha / sqrt(rank) (arXiv 2312.03732).", "use_rslora")
    dora: bool = option(False, "Weight-decomposed adapters (arXiv 2402.09353).", "use_dora")
    init: str = option(
        "true",
        "true (Kaiming, zero), gaussian, pissa, pissa_niter_N, olora, orthogonal, mica, loftq or false.",
        "init_weights",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = option(
        "float32", "Type of the adapter's weights; they are computed with in the model's type.", "lora_dtype"
    )


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


TunerConfig = Annotated[LoraConfig | FullConfig | FreezeConfig, Field(discriminator="type")]
"""Chosen by `tuner.type` (flag `--tuner_type`)."""


def default_tuner() -> Any:
    """LoRA, the technique that fits the most machines."""
    return LoraConfig()
