"""What a run writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from swift.config.train import CheckpointConfig
from swift.planning.memory import ModelShape, Training

_SMALL_FILES = 20 * 1024**2  # tokenizer, state of generators, logs, pictures


def checkpoint_bytes(shape: ModelShape, training: Training, config: CheckpointConfig) -> int:
    """Size of one checkpoint: what is trained (for weights: the whole model), and the optimizer's state."""
    if training.tuner == "lora":
        weights = training.trained * training.trained_bytes
    else:
        weights = shape.parameters * training.weight_bytes
    if config.model_only:
        return weights + _SMALL_FILES
    kept = training.element_state + (4 if training.has_masters else 0)
    return weights + int(training.trained * kept) + _SMALL_FILES


def checkpoints_at_once(config: CheckpointConfig, steps: int | None) -> int | None:
    """How many can lie in the run folder: those kept, best, last, and the one being written.

    None where their number is not limited and neither are the steps.
    """
    written = None if steps is None else -(-steps // config.every)
    kept = None if config.limit is None else config.limit + 3
    if written is None or kept is None:
        return kept if written is None else written
    return min(written, kept)


def free_space(folder: Path) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free
