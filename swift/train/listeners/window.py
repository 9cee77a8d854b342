"""The average of the steps since the last line that was logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swift.train.events import Metrics, RunInfo

if TYPE_CHECKING:
    from swift.train.state import State


@dataclass(frozen=True, slots=True)
class Line:
    """One logged line, averaged over the steps since the line before.

    Attributes:
        step: Optimizer steps taken.
        epoch: Passes over the rows, with the fraction of the current one where the length of a pass is known.
        loss: Mean loss per target.
        grad_norm: Mean over the steps, before clipping.
        learning_rate: Of the last step.
        target_tokens: Tokens trained on since the beginning of the run.
        tokens: Real tokens since the beginning of the run.
        samples: Sequences since the beginning of the run.
        tokens_per_second: Real tokens.
        target_tokens_per_second: Tokens trained on.
        padding_fraction: Share of padding in all tokens.
        data_wait_fraction: Share of the time spent waiting for batches.
        step_seconds: Mean wall time of a step.
        memory_gib: Peak memory so far.
        elapsed_seconds: Time spent in steps since the beginning of the run, over all sessions.
        extra: Further means per target.
    """

    step: int
    epoch: float
    loss: float
    grad_norm: float
    learning_rate: float
    target_tokens: int
    tokens: int
    samples: int
    tokens_per_second: float
    target_tokens_per_second: float
    padding_fraction: float
    data_wait_fraction: float
    step_seconds: float
    memory_gib: float
    elapsed_seconds: float
    extra: Mapping[str, float]

    def to_json(self) -> dict[str, float]:
        """Plain values under the names of the attributes, `extra` among them."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "extra"}
        return values | dict(self.extra)


class Window:
    """Collects steps; `take` gives their line and begins anew."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self._steps: list[Metrics] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, metrics: Metrics) -> None:
        """Count one step."""
        self._steps.append(metrics)

    def take(self, state: State) -> Line:
        """The line of all steps since the last call; there must be one at least."""
        steps, self._steps = self._steps, []
        targets, tokens = sum(m.targets for m in steps), sum(m.tokens for m in steps)
        slots, seconds = sum(m.slots for m in steps), sum(m.seconds for m in steps)
        names = sorted({name for m in steps for name in m.extra})
        return Line(
            step=state.step,
            epoch=epoch_of(state, self.info),
            loss=_mean([(m.loss, m.targets) for m in steps]),
            grad_norm=_mean([(m.grad_norm, 1) for m in steps]),
            learning_rate=steps[-1].learning_rate,
            target_tokens=state.targets,
            tokens=state.tokens,
            samples=state.samples,
            tokens_per_second=tokens / seconds if seconds else 0.0,
            target_tokens_per_second=targets / seconds if seconds else 0.0,
            padding_fraction=1.0 - tokens / slots if slots else 0.0,
            data_wait_fraction=sum(m.data_wait for m in steps) / seconds if seconds else 0.0,
            step_seconds=seconds / len(steps),
            memory_gib=max(m.memory_gib for m in steps),
            elapsed_seconds=state.elapsed,
            extra={name: _mean([(m.extra[name], m.targets) for m in steps if name in m.extra]) for name in names},
        )


def epoch_of(state: State, info: RunInfo) -> float:
    """Passes over the rows so far."""
    if info.steps_per_epoch is None:
        return float(state.position.epoch)
    return float(state.position.epoch + state.position.step / info.steps_per_epoch)


def is_due(step: int, every: int) -> bool:
    """Whether a line is logged after `step`: the first step of a run always, then every `every`-th."""
    return step == 1 or step % every == 0


def _mean(pairs: list[tuple[float, int]]) -> float:
    weight = sum(w for _, w in pairs)
    return sum(value * w for value, w in pairs) / weight if weight else 0.0
