"""Optimizer and learning-rate schedule."""

from __future__ import annotations

from typing import Literal

from swift.config.option import Config, option


class OptimizerConfig(Config):
    """The optimizer."""

    name: Literal["adamw"] = option("adamw", "AdamW (arXiv 1711.05101), fused where the device has it.", "optim")
    learning_rate: float | None = option(
        None, "Peak learning rate; default: 1e-4 for adapters, 1e-5 for weights.", "learning_rate", gt=0
    )
    llm_lr: float | None = option(None, "Peak rate of the language model; default: learning_rate.", "llm_lr", gt=0)
    vit_lr: float | None = option(None, "Peak rate of the towers; default: learning_rate.", "vit_lr", gt=0)
    aligner_lr: float | None = option(None, "Peak rate of the aligner; default: learning_rate.", "aligner_lr", gt=0)
    weight_decay: float = option(0.1, "On matrices; biases and norms get none.", "weight_decay", ge=0)
    beta1: float = option(0.9, "Decay of the first moment.", "adam_beta1", ge=0, lt=1)
    beta2: float = option(0.95, "Decay of the second moment.", "adam_beta2", ge=0, lt=1)
    epsilon: float = option(1e-8, "Added to the denominator.", "adam_epsilon", gt=0)
    max_grad_norm: float = option(1.0, "Gradients are clipped to this norm; 0 never clips.", "max_grad_norm", ge=0)
    master_weights: bool = option(
        True,
        "Keep a float32 copy of 16-bit weights that are trained, so that small updates are not lost.",
        "master_weights",
    )


class ScheduleConfig(Config):
    """The learning rate over the run."""

    name: str = option(
        "cosine",
        "cosine, linear, constant, polynomial, wsd, or one registered by a plugin.",
        "lr_scheduler_type",
    )
    warmup_ratio: float = option(0.0, "Share of the steps with a rising rate.", "warmup_ratio", ge=0, lt=1)
    warmup_steps: int | None = option(None, "The same as a number of steps; wins over the ratio.", "warmup_steps", ge=0)
    minimum: float = option(0.0, "Where the rate ends, as a share of the peak.", "min_lr_ratio", ge=0, le=1)
    power: float = option(1.0, "Exponent of the polynomial schedule.", "lr_power", gt=0)
    decay_ratio: float = option(0.1, "Share of the steps in the decay phase of wsd.", "wsd_decay_ratio", gt=0, le=1)
