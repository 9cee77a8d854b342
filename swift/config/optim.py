"""Optimizer and learning-rate schedule."""

from typing import Any

from swift.config.option import Config, option

_IN_BACKWARD = ("lomo", "adalomo")


class OptimizerConfig(Config):
    """The optimizer."""

    name: str = option(
        "adamw",
        "adamw (arXiv 1711.05101), fused where the device has it, or another one of docs/optimizers.md, such as "
        "adamw_8bit, galore, apollo, muon, lion, adafactor, schedule_free_adamw, or one registered by a plugin.",
        "optim",
    )
    options: dict[str, Any] = option(
        dict, "Further options of the optimizer, as JSON or as NAME=VALUE,NAME=VALUE.", "optim_args"
    )
    learning_rate: float | None = option(
        None, "Peak learning rate; default: 1e-4 for adapters, 1e-5 for weights.", "learning_rate", gt=0
    )
    llm_lr: float | None = option(None, "Peak rate of the language model; default: learning_rate.", "llm_lr", gt=0)
    vit_lr: float | None = option(None, "Peak rate of the towers; default: learning_rate.", "vit_lr", gt=0)
    aligner_lr: float | None = option(None, "Peak rate of the aligner; default: learning_rate.", "aligner_lr", gt=0)
    lora_plus: float | None = option(
        None,
        "LoRA+ (arXiv 2402.12354): the rate of an adapter's second matrix is this many times that of the first.",
        "lorap_lr_ratio",
        gt=0,
    )
    weight_decay: float | None = option(
        None,
        "On matrices; biases and norms get none. Default: 0.1 where it acts on the weights, as in AdamW; 0 where it "
        "is added to the gradient.",
        "weight_decay",
        ge=0,
    )
    beta1: float | None = option(
        None,
        "Decay of the first moment; default: 0.9 for AdamW, the optimizer's own for others.",
        "adam_beta1",
        ge=0,
        lt=1,
    )
    beta2: float | None = option(
        None,
        "Decay of the second moment; default: 0.95 for AdamW, the optimizer's own for others.",
        "adam_beta2",
        ge=0,
        lt=1,
    )
    epsilon: float | None = option(
        None, "Added to the denominator; default: 1e-8 for AdamW, the optimizer's own for others.", "adam_epsilon", gt=0
    )
    max_grad_norm: float = option(1.0, "Gradients are clipped to this norm; 0 never clips.", "max_grad_norm", ge=0)
    master_weights: bool = option(
        True,
        "Keep a float32 copy of 16-bit weights that are trained, so that small updates are not lost.",
        "master_weights",
    )
    fused_backward: bool | None = option(
        None,
        "Update each parameter in the backward pass, as soon as its gradient is there, and free the gradient: with "
        "one micro-batch to a step, on one process, and without clipping. Default: for lomo and adalomo.",
        "optim_in_backward",
    )
    offload: bool = option(False, "Keep the state in main memory between steps; for accelerators.", "optim_offload")

    @property
    def updates_in_backward(self) -> bool:
        """Whether the backward pass updates."""
        return self.name in _IN_BACKWARD if self.fused_backward is None else self.fused_backward


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
