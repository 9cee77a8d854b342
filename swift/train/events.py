"""What a run tells its listeners. A listener is any callable that takes an event; one that raises stops the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from swift.train.state import State


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known before the first step.

    Attributes:
        lines: The start banner, as (name, value), in the order of showing.
        total_steps: The optimizer step at which the run ends; None where it is not known.
        run_dir: The run folder.
        steps_per_epoch: Optimizer steps in one pass over the rows; None when streaming.
        first_step: Steps that earlier sessions took; 0 for a new run, else the step that was resumed from.
        adapter: Whether the run trains an adapter; False where it saves whole models.
    """

    lines: tuple[tuple[str, str], ...]
    total_steps: int | None
    run_dir: Path
    steps_per_epoch: int | None = None
    first_step: int = 0
    adapter: bool = True


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one optimizer step measured, over all processes; seconds and memory are those of the first one.

    Attributes:
        loss: Mean loss per target over the whole step.
        grad_norm: L2 norm of the gradient before clipping.
        learning_rate: The rate that the step used.
        targets: Tokens trained on.
        tokens: Real tokens, targets or not.
        slots: Tokens including padding.
        data_wait: Seconds spent waiting for the batches; part of `seconds`.
        seconds: Wall time of the whole step.
        memory_gib: Peak memory so far, in GiB.
        extra: Further means over the step's targets, by name.
        samples: Sequences.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    targets: int
    tokens: int
    slots: int
    data_wait: float
    seconds: float
    memory_gib: float
    extra: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is assembled; no step of this session was taken yet."""

    info: RunInfo


@dataclass(frozen=True, slots=True)
class StepDone:
    """An optimizer step was taken; `state` already counts it."""

    state: State
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Asking:
    """An evaluation is on its way.

    Attributes:
        state: Where the run stands.
        name: The set of questions.
        done: Those that this process has the answers of.
        total: All that this process asks.
    """

    state: State
    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The model was evaluated; the keys of `metrics` begin with `eval_`."""

    state: State
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is complete on disk."""

    state: State
    path: Path


@dataclass(frozen=True, slots=True)
class RunDone:
    """No step will follow in this session.

    Attributes:
        reason: Whether all steps were taken, the evaluations stopped getting better, a signal came, or an error is
            about to end the run.
    """

    state: State
    reason: Literal["finished", "stopped early", "interrupted", "failed"] = "finished"


Event = RunStarted | StepDone | Asking | Evaluated | Saved | RunDone
"""Anything a listener may be called with."""

Listener = Callable[[Event], None]
"""A function, or an object with `__call__`."""
