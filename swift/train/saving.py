"""A checkpoint of a run: what goes into it, and how it is put back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swift.errors import CheckpointError
from swift.train import rng
from swift.train.checkpoint import (
    JSON,
    load_checkpoint,
    mark_best,
    print_warning,
    prune,
    read_values,
    save_checkpoint,
)
from swift.train.optim_state import load_state_tensors, state_tensors
from swift.train.run import Run
from swift.train.state import State


def save(run: Run) -> Path | None:
    """Write a checkpoint of this step, mark it best if it is, and delete what the limit says.

    The first process writes; all take part, for their random numbers, and go on when it is complete.

    Returns:
        The folder; None if a checkpoint of this step already exists.
    """
    path = run.folder / f"checkpoint-{run.state.step}"
    if run.parallel.broadcast(path.is_dir() and run.last_saved == run.state):
        return None
    randoms = [] if run.config.checkpoint.model_only else run.parallel.gather(rng.capture(_own_device(run)))
    if run.parallel.main:
        _write(run, randoms)
    run.parallel.barrier()
    run.last_saved = run.state
    return path


def _write(run: Run, randoms: list[tuple[dict[str, Tensor], dict[str, JSON]]]) -> None:
    """The files; `randoms` has the random numbers of each process, or nothing where only the model is saved."""
    with run.optimizer.averaged():
        _write_checkpoint(run, randoms)


def _write_checkpoint(run: Run, randoms: list[tuple[dict[str, Tensor], dict[str, JSON]]]) -> None:
    tensors: dict[str, Tensor] = {}
    state: dict[str, JSON] = {}
    if randoms:
        tensors, optimizer_values = state_tensors(run.optimizer)
        tensors = {**tensors, **_tuner_tensors(run)}
        state = {
            "run": run.state.to_json(),
            "optimizer": optimizer_values,
            "fingerprints": run.fingerprints,
            "total_steps": run.total_steps,
            **shared_by(run),
        }
        for rank, (numbers, values) in enumerate(randoms):
            tensors |= rng.for_process(numbers, rank)
            state |= {_values_name(rank): values}
    path = save_checkpoint(
        run.folder,
        run.state.step,
        write_weights=run.write_weights,
        tensors=tensors,
        state=state,
        expected_bytes=_weights_bytes(run),
    )
    if run.state.best_step == run.state.step:
        mark_best(run.folder, path)
    prune(run.folder, run.config.checkpoint.limit)


def shared_by(run: Run) -> dict[str, JSON]:
    """How the steps of a run are shared: the number of processes, and the micro-batches to a step of all of them."""
    return {"processes": run.parallel.size, "micro_batches": run.feed.accumulation}


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
    for number, part in enumerate(run.stepwise):
        prefix = _tuner_prefix(number)
        part.load({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    load_state_tensors(run.optimizer, tensors, state["optimizer"])
    for line in _restore_random(run, tensors, state):
        if run.parallel.main:
            print_warning(line)
    run.state = State.from_json(state["run"])
    run.last_saved = run.state


def _tuner_tensors(run: Run) -> dict[str, Tensor]:
    parts = enumerate(run.stepwise)
    return {f"{_tuner_prefix(number)}{name}": t for number, part in parts for name, t in part.state().items()}


def _tuner_prefix(number: int) -> str:
    return f"tuner/{number}/"


def _restore_random(run: Run, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> tuple[str, ...]:
    """Every process gets its own random numbers back; lines for the user where that cannot be."""
    rank, size = run.parallel.rank, run.parallel.size
    if (saved := state.get("processes", 1)) != size:
        rng.seed_process(run.config.loop.seed, rank, int(state["run"]["step"]))
        return (f"random numbers, such as dropout, go on differently: {saved} process(es) saved and {size} go on",)
    return rng.restore(rng.of_process(tensors, rank), state[_values_name(rank)], _own_device(run))


def require_same_share(run: Run, checkpoint: Path) -> None:
    """Refuse another number of processes, and in any case steps of other rows: they would begin at a wrong place.

    Raises:
        CheckpointError: It is another number, and that was not allowed; or a step would take more or fewer rows.
    """
    state = read_values(checkpoint)
    saved, here = state.get("processes", 1), run.parallel.size
    if saved == here:
        return
    steps, now = state.get("micro_batches"), run.feed.accumulation
    if run.config.checkpoint.allow_change and steps is not None and steps == now:
        return
    way = f"resume with NPROC_PER_NODE={saved}"
    if steps is not None and steps % here == 0:
        same = (
            "" if steps == now else f" --gradient_accumulation_steps {steps // here}, which keeps the steps as they are"
        )
        way += f", or pass --resume_allow_change true{same}"
    what = f"; a step had {steps} micro-batches and would have {now}" if steps != now else ""
    raise CheckpointError(f"{checkpoint} was saved by {saved} process(es), and there are {here}{what}", hint=way)


def _own_device(run: Run) -> torch.device | None:
    """The device whose random numbers are this process' own; None where there is one process, and all are."""
    return None if run.parallel.size == 1 else run.device


def _values_name(rank: int) -> str:
    return f"rng-{rank}" if rank else "rng"
