"""From runs to ratios: medians over rounds, ours against each peer and against the best of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from benchmarks.measure import Measurement
from benchmarks.recipe import Mode, Tuner

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run.

    Attributes:
        tokens: Real tokens (no padding, rows cut) of the rows that it trained on; equal for all systems.
        losses: Of every step.
    """

    system: str
    round: int
    tokens: int
    measured: Measurement
    losses: tuple[float, ...]

    @property
    def step_seconds(self) -> list[float]:
        """Time of every step but the first, whose start is not visible from outside."""
        ends = self.measured.step_ends
        return [after - before for before, after in pairwise(ends)]

    @property
    def tokens_per_second(self) -> float:
        """Real tokens per second of training: all steps but the first, which are (n - 1) / n of the rows."""
        steps = len(self.measured.step_ends)
        return self.tokens * (steps - 1) / steps / sum(self.step_seconds)


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a run, and which direction is good."""

    name: str
    value: Callable[[Run], float]
    higher_is_better: bool = False
    digits: int = 2


METRICS: dict[str, Metric] = {
    "tokens_per_second": Metric("real tokens/s while training", lambda run: run.tokens_per_second, True, 1),
    "mean_step": Metric("mean step, s", lambda run: sum(run.step_seconds) / len(run.step_seconds), digits=3),
    "median_step": Metric("median step, s", lambda run: median(run.step_seconds), digits=3),
    "first_step": Metric("process start to end of first step, s", lambda run: run.measured.step_ends[0]),
    "wall": Metric("whole process, s", lambda run: run.measured.wall, digits=1),
    "wall_tokens_per_second": Metric(
        "real tokens/s, whole process", lambda run: run.tokens / run.measured.wall, True, 1
    ),
    "peak_tree": Metric("peak memory of all processes, MiB", lambda run: run.measured.peak_tree_mib, digits=0),
    "peak_process": Metric("peak memory of the largest, MiB", lambda run: run.measured.peak_process_mib, digits=0),
    "cpu": Metric("processor seconds", lambda run: run.measured.cpu, digits=1),
}


@dataclass(frozen=True, slots=True)
class Goal:
    """What we want to reach: a ratio ours / `against` ("best" is the best peer in this metric)."""

    metric: str
    against: str
    ratio: float


MS_SWIFT = Goal("tokens_per_second", "ms-swift", 1.5)
MS_SWIFT_GALORE = Goal("tokens_per_second", "ms-swift-transformers-5.0", 1.5)
GOALS: dict[Mode, tuple[Goal, ...]] = {
    "defaults": (
        Goal("tokens_per_second", "ms-swift", 2.5),
        Goal("tokens_per_second", "best", 2.0),
        Goal("peak_tree", "best", 0.6),
        Goal("first_step", "best", 0.6),
    ),
    "matched": (
        MS_SWIFT,
        Goal("tokens_per_second", "best", 1.4),
        Goal("peak_tree", "best", 0.6),
        Goal("first_step", "best", 0.6),
    ),
}
"""Of LoRA."""


def medians(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Metric -> system -> median over its rounds, systems in order of appearance."""
    return {
        key: {system: median(metric.value(run) for run in own) for system, own in by_system(runs).items()}
        for key, metric in METRICS.items()
    }


def by_system(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of each system, in order of appearance."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.system, []).append(run)
    return grouped


def ratios(middle: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Metric -> peer, or "best" -> ours / peer. Empty where ours or every peer is missing."""
    found: dict[str, dict[str, float]] = {}
    for key, values in middle.items():
        peers = {system: value for system, value in values.items() if system != OURS}
        if OURS not in values or not peers:
            continue
        best = max(peers.values()) if METRICS[key].higher_is_better else min(peers.values())
        found[key] = {name: values[OURS] / value for name, value in {**peers, "best": best}.items()}
    return found


def judge(tuner: Tuner, mode: Mode, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One line a goal: wanted, measured, met or not. Goals whose peer was not run are left out."""
    lines = []
    for goal in GOALS[mode] if tuner == "lora" else (MS_SWIFT, MS_SWIFT_GALORE):
        value = found.get(goal.metric, {}).get(goal.against)
        if value is None:
            continue
        metric = METRICS[goal.metric]
        met = value >= goal.ratio if metric.higher_is_better else value <= goal.ratio
        bound = "at least" if metric.higher_is_better else "at most"
        against = "the best peer" if goal.against == "best" else goal.against
        verdict = "met" if met else "NOT met"
        lines.append(f"{metric.name}: {value:.2f}x {against}, wanted {bound} {goal.ratio}x: {verdict}")
    return lines


Comparison = Literal["ours", "peers"]


@dataclass(frozen=True, slots=True)
class LossGap:
    """The largest difference of per-step losses between two sets of systems.

    Attributes:
        mean: Mean of the absolute differences over the steps (of the farthest pair at each step).
    """

    largest: float
    step: int
    mean: float


def loss_gaps(losses: Mapping[str, Sequence[float]]) -> dict[Comparison, LossGap]:
    """Ours against the peer farthest from it, and the peers among themselves, over the steps that all have."""
    peers = [values for system, values in losses.items() if system != OURS]
    steps = min(len(values) for values in losses.values())
    gaps: dict[Comparison, LossGap] = {}
    if OURS in losses and peers:
        far = [max(abs(losses[OURS][step] - values[step]) for values in peers) for step in range(steps)]
        gaps["ours"] = _gap(far)
    if len(peers) > 1:
        spread = [
            max(values[step] for values in peers) - min(values[step] for values in peers) for step in range(steps)
        ]
        gaps["peers"] = _gap(spread)
    return gaps


def _gap(differences: Sequence[float]) -> LossGap:
    largest = max(differences)
    return LossGap(largest, differences.index(largest) + 1, sum(differences) / len(differences))
