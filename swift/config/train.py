"""The run: length, numerics, saving, evaluation, logging."""

from typing import Literal

from pydantic import field_validator

from swift.config.benchmark import METRIC_HELP, EvalMetric
from swift.config.option import Config, option
from swift.config.sizes import require_size


class LoopConfig(Config):
    """How long, and with which numerics."""

    epochs: float = option(3.0, "Passes over the rows.", "num_train_epochs", gt=0)
    max_steps: int | None = option(None, "Optimizer steps; wins over epochs.", "max_steps", ge=1)
    seed: int = option(42, "Seed of initialisation, dropout and noise.", "seed")
    gradient_checkpointing: bool | None = option(
        None,
        "Recompute activations in the backward pass; default: only if the plan says that memory needs it.",
        "gradient_checkpointing",
    )
    vit_gradient_checkpointing: bool | None = option(
        None,
        "The same for towers alone; default: as gradient_checkpointing where towers are trained.",
        "vit_gradient_checkpointing",
    )
    offload_activations: bool = option(
        False,
        "Keep in main memory what the backward pass needs (with gradient_checkpointing, inputs of layers alone); for "
        "accelerators.",
        "activation_cpu_offload",
    )
    compile_blocks: bool = option(
        False,
        "Compile each decoder layer with torch.compile: the same result, and seconds to minutes before the first step.",
        "torch_compile",
    )
    neftune_alpha: float | None = option(
        None, "Noise on the embeddings (arXiv 2310.05914).", "neftune_noise_alpha", gt=0
    )
    label_smoothing: float = option(0.0, "Label smoothing of the cross entropy.", "label_smoothing_factor", ge=0, lt=1)
    loss: str = option("cross_entropy", "Loss by name; a plugin may register more.", "loss_type")
    plugins: tuple[str, ...] = option(
        (),
        "Your Python files, imported first: data shapes, losses, schedules, listeners.",
        "plugins",
        "external_plugins",
    )
    allocator: Literal["auto", "system"] = option(
        "auto",
        "auto: keep freed memory for reuse on the CPU, which is faster; system: leave malloc as it is.",
        "allocator",
    )
    dry_step: bool | None = option(
        None,
        "Run the longest batch first, without an update; default: unless the plan shows ample memory, and with "
        "--torch_compile.",
        "dry_step",
    )


class CheckpointConfig(Config):
    """Saving and resuming."""

    every: int = option(500, "Steps between checkpoints.", "save_steps", ge=1)
    limit: int | None = option(
        2, "Checkpoints kept besides best and last; older ones are deleted.", "save_total_limit", ge=1
    )
    resume: str | None = option(None, "A checkpoint folder, or last.", "resume_from_checkpoint")
    allow_change: bool = option(
        False, "Resume although data or configuration differ from the run that saved.", "resume_allow_change"
    )
    model_only: bool = option(
        False, "Save no optimizer state: smaller, but such a run cannot be resumed.", "save_only_model"
    )
    max_shard_size: str = option("5GB", "Largest weights file.", "max_shard_size")

    _shard = field_validator("max_shard_size")(require_size)


class EvaluationConfig(Config):
    """Evaluation on the validation rows."""

    every: int | None = option(None, "Steps between evaluations; default: as for saving.", "eval_steps", ge=1)
    at_start: bool = option(True, "Evaluate before the first step too.", "eval_on_start")
    metric: str = option(
        "eval_loss",
        "What best means: loss or token_accuracy of the validation rows, or SET_MEASURE of questions that are asked, "
        "such as bfcl_accuracy or exact_accuracy; default: the loss, or the first measure where no rows validate.",
        "metric_for_best_model",
    )
    greater_is_better: bool | None = option(
        None, "Whether more of the metric is better; default: as is known of it.", "greater_is_better"
    )
    patience: int | None = option(
        None,
        "Stop after this many evaluations without a better one.",
        "early_stop_interval",
        "early_stopping_patience",
        ge=1,
    )
    rows_metric: EvalMetric | None = option(
        None,
        "At each evaluation also ask the model for each of the assistant's turns in the validation rows, and judge "
        "what it says in this way. " + METRIC_HELP,
        "eval_metric",
    )
    max_new_tokens: int | None = option(
        None, "Longest answer to a question; default: as in `swift eval`.", "eval_max_new_tokens", ge=1
    )
    max_batch_tokens: int = option(
        8192, "Tokens of prompt and cache in one batch of answers.", "eval_max_batch_tokens", ge=1
    )
    max_batch_size: int = option(16, "Answers in one batch.", "eval_max_batch_size", ge=1)


class LoggingConfig(Config):
    """What is written while training."""

    every: int = option(
        5, "Steps between lines of metrics.jsonl; the first step is always there.", "logging_steps", ge=1
    )
    trackers: tuple[str, ...] = option(
        (), "tensorboard, or names registered by plugins; none for nothing.", "report_to"
    )
    plots: bool = option(True, "Draw loss and learning-rate curves into the run folder.", "plots")
