"""What the commands do, as functions of the same configurations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from swift.config.runs import CheckConfig, ExportConfig, InferConfig, PlanConfig, SftConfig

if TYPE_CHECKING:
    from swift.engines.base import Engine


def sft(config: SftConfig) -> Path:
    """Fine-tune a model on conversations (or plain text, with `task: pt`).

    Returns:
        The run folder, whose `last` and `best` point to checkpoints.

    Raises:
        SwiftError: Anything that the user can fix.
        swift.train.loop.Interrupted: A signal came; a checkpoint was saved.
    """
    from swift.config.rules import require
    from swift.train.assemble import assembled
    from swift.train.loop import train

    require(config)
    with assembled(config) as run:
        train(run)
        return run.folder


def pretrain(config: SftConfig) -> Path:
    """Continue pre-training on plain text; see `sft`."""
    return sft(config.model_copy(update={"task": "pt"}))


def infer(config: InferConfig) -> int:
    """Talk to a model, or answer a data set; returns an exit code."""
    from swift.inference.run import infer as run

    return run(config)


def load_engine(config: InferConfig) -> Engine:
    """The model and adapters of `config`, ready to answer requests from Python."""
    from swift.engines.folders import plan_model
    from swift.engines.load import load_engine as load
    from swift.engines.transformers import Limits

    limits = Limits(tokens=config.max_batch_tokens, rows=config.max_batch_size)
    return load(
        plan_model(config.model, config.adapters, config.chat, config.media),
        limits=limits,
        merge_lora=config.merge_lora,
    )


def export(config: ExportConfig) -> Path:
    """Merge an adapter, or save a model in another type or shard size; returns the folder."""
    from swift.exporting.merge import export as run

    return run(config)


def check(config: CheckConfig) -> int:
    """Show what training would see, without training; returns an exit code."""
    from swift.checking.run import check as run

    return run(config)


def plan(config: PlanConfig) -> int:
    """Estimate memory and time of a run; returns an exit code."""
    from swift.planning.run import plan as run

    return run(config)
