"""A checkpoint of a run: what goes into it, and how it is put back."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from swift.errors import CheckpointError
from swift.train import rng
from swift.train.checkpoint import JSON, load_checkpoint, mark_best, print_warning, prune, save_checkpoint
from swift.train.optim import load_state_tensors, state_tensors
from swift.train.run import Run
from swift.train.state import State


def save(run: Run) -> Path | None:
    """Write a checkpoint of this step, mark it best if it is, and delete what the limit says.

    Returns:
        The folder; None if a checkpoint of this step already exists.
    """
    existing = run.folder / f"checkpoint-{run.state.step}"
    if existing.is_dir() and run.last_saved == run.state:
        return None
    tensors: dict[str, Tensor] = {}
    state: dict[str, JSON] = {}
    if not run.config.checkpoint.model_only:
        optimizer_tensors, optimizer_values = state_tensors(run.optimizer)
        rng_tensors, rng_values = rng.capture()
        tensors = {**optimizer_tensors, **rng_tensors}
        state = {
            "run": run.state.to_json(),
            "optimizer": optimizer_values,
            "rng": rng_values,
            "fingerprints": run.fingerprints,
            "total_steps": run.total_steps,
        }
    path = save_checkpoint(
        run.folder,
        run.state.step,
        write_weights=run.write_weights,
        tensors=tensors,
        state=state,
        expected_bytes=_weights_bytes(run),
    )
    run.last_saved = run.state
    if run.state.best_step == run.state.step:
        mark_best(run.folder, path)
    prune(run.folder, run.config.checkpoint.limit)
    return path


def _weights_bytes(run: Run) -> int:
    """What `write_weights` will write, about."""
    parameters = run.policy.model.parameters()
    return sum(p.numel() * p.element_size() for p in parameters if p.requires_grad or not run.info.adapter)


def restore(run: Run, checkpoint: Path) -> None:
    """Put optimizer, random number generators and progress back to where `checkpoint` stands.

    The weights themselves are loaded when the model is built.

    Raises:
        CheckpointError: The checkpoint has no state, or is of other data, and that was not allowed by flag.
    """
    tensors, state = load_checkpoint(checkpoint)
    changed = [name for name, value in run.fingerprints.items() if state["fingerprints"].get(name) != value]
    if changed and not run.config.checkpoint.allow_change:
        raise CheckpointError(
            f"{checkpoint} was saved with other {' and '.join(changed)}",
            hint="resume with what it was saved with, or pass --resume_allow_change",
        )
    load_state_tensors(run.optimizer, tensors, state["optimizer"])
    for line in rng.restore(tensors, state["rng"]):
        print_warning(line)
    run.state = State.from_json(state["run"])
    run.last_saved = run.state
