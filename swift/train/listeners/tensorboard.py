"""Scalars for TensorBoard, under `tensorboard/` in the run folder."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from swift.errors import MissingExtraError
from swift.train.events import Evaluated, Event, RunDone, RunStarted, StepDone

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes every step's loss, gradient norm, rate and speed, and every evaluation.

    Raises:
        MissingExtraError: The library is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingExtraError("tensorboard", extra="track", why="--report_to tensorboard")
        self._writer: SummaryWriter | None = None

    def __call__(self, event: Event) -> None:
        """Write what the event carries."""
        if isinstance(event, RunStarted):
            from torch.utils.tensorboard import SummaryWriter

            # Steps after the resumed one will be taken again: `purge_step` hides what was written of them.
            first = event.info.first_step
            folder = str(event.info.run_dir / "tensorboard")
            self._writer = SummaryWriter(folder, purge_step=first + 1 if first else None)
        elif self._writer is None:
            return
        elif isinstance(event, StepDone):
            self._step(event, self._writer)
        elif isinstance(event, Evaluated):
            for name, value in event.metrics.items():
                self._writer.add_scalar(f"eval/{name.removeprefix('eval_')}", value, event.state.step)
        elif isinstance(event, RunDone):
            self._writer.close()
            self._writer = None

    def _step(self, event: StepDone, writer: SummaryWriter) -> None:
        metrics, step = event.metrics, event.state.step
        values = {
            "loss": metrics.loss,
            "grad_norm": metrics.grad_norm,
            "learning_rate": metrics.learning_rate,
            "tokens_per_second": metrics.tokens / metrics.seconds if metrics.seconds else 0.0,
            "memory_gib": metrics.memory_gib,
            **metrics.extra,
        }
        for name, value in values.items():
            writer.add_scalar(f"train/{name}", value, step)
