"""Everything that a run consists of, assembled elsewhere, used by the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.autograd.graph import saved_tensors_hooks

from swift.batch import Batch, LossSum
from swift.config.sft import SftConfig
from swift.data.feed import MapFeed
from swift.data.stream_feed import StreamFeed
from swift.models.offload import Offload
from swift.models.recompute import recompute_cheap
from swift.objectives.policy import Policy
from swift.train.best import Goal
from swift.train.events import Event, Listener, RunInfo
from swift.train.optim import StepOptimizer
from swift.train.parallel.processes import Parallel
from swift.train.schedule import Schedule
from swift.train.state import State
from swift.tuners.technique import Stepwise

if TYPE_CHECKING:
    from swift.train.questions import Questions

Objective = Callable[[Policy, Batch], LossSum]


@dataclass(slots=True)
class Run:
    """One training run.

    Attributes:
        feed: Where steps come from.
        evaluation: The validation batches; None without validation rows.
        questions: What is asked at each evaluation; None for nothing.
        goal: What the best evaluation is.
        state: Where the run stands when `train` is called.
        write_weights: Saves what was trained, as plain transformers or PEFT files, into a folder.
        fingerprints: What must be equal on resume: hashes of data, template and configuration.
        info: What the start banner shows.
        stepwise: What the tuner does between steps.
        slice_tokens: Slots of a piece that goes through the model at once; None for whole micro-batches.
        trial: Run the largest micro-batch first, without an update.
        offload: How activations go to main memory; None where they stay.
        parallel: The processes that train together; the state is the same in each.
        asked: The signal that this process has got.
        stop_signal: The signal that all processes know of: save, and leave.
        stop_early: The evaluations stopped getting better.
        last_saved: The state in the newest checkpoint.
    """

    config: SftConfig
    folder: Path
    device: torch.device
    policy: Policy
    objective: Objective
    evaluation_objective: Objective
    optimizer: StepOptimizer
    schedule: Schedule
    feed: MapFeed | StreamFeed
    evaluation: Sequence[Batch] | None
    write_weights: Callable[[Path], None]
    state: State
    total_steps: int
    fingerprints: dict[str, str]
    info: RunInfo
    stepwise: tuple[Stepwise, ...] = ()
    listeners: list[Listener] = field(default_factory=list)
    questions: Questions | None = None
    goal: Goal = field(default_factory=Goal)
    slice_tokens: int | None = None
    trial: bool = False
    offload: Offload | None = None
    parallel: Parallel = field(default_factory=Parallel)
    asked: int | None = None
    stop_signal: int | None = None
    stop_early: bool = False
    last_saved: State | None = None

    @property
    def evaluates(self) -> bool:
        """Whether there is anything to evaluate by."""
        return self.evaluation is not None or self.questions is not None

    def saving(self) -> saved_tensors_hooks:
        """A context for a forward pass: how what it saves for the backward pass is kept."""
        return recompute_cheap() if self.offload is None else self.offload.hooks(self.policy.model)

    def notify(self, event: Event) -> None:
        """Tell every listener, in order."""
        for listener in self.listeners:
            listener(event)
