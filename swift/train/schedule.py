"""Learning-rate schedules: the rate of each optimizer step as a pure function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from swift.config.optim import ScheduleConfig
from swift.errors import ConfigError
from swift.registry import Registry


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a step stands, after the warm-up.

    Attributes:
        step: Optimizer steps taken before this one, so 0 for the first; at least `warmup`, at most `total`.
        warmup: Steps of the warm-up.
        total: Steps of the whole run.
    """

    step: int
    warmup: int
    total: int

    @property
    def fraction(self) -> float:
        """0 right after the warm-up, 1 at the end of the run."""
        return (self.step - self.warmup) / max(1, self.total - self.warmup)


Shape = Callable[[Progress, ScheduleConfig], float]
"""From progress to the height between the minimum (0) and the peak (1)."""

schedules: Registry[Shape] = Registry("schedule")
"""All schedules. A plugin adds one with `@schedules.register("name")` above a function of (progress, config)."""


class Schedule:
    """The learning rate of each step.

    A linear warm-up from 0, then the named shape from the peak down to `minimum * peak`. The k-th step, k from 0,
    gets `at(k)`, as in transformers, so the first step of a warm-up has rate 0.

    Args:
        config: Name and options.
        peak: The highest rate.
        total_steps: Optimizer steps of the whole run, warm-up included.

    Raises:
        UnknownNameError: No schedule has that name.
        ConfigError: The warm-up is longer than the run.
    """

    def __init__(self, config: ScheduleConfig, peak: float, total_steps: int) -> None:
        self.shape = schedules.get(config.name)
        self.config = config
        self.peak = peak
        self.total = total_steps
        self.warmup = warmup_steps(config, total_steps)
        if config.warmup_steps is not None and self.warmup > total_steps:
            raise ConfigError(
                f"schedule.warmup_steps is {self.warmup} and the run has only {total_steps} steps",
                hint="shorten the warm-up, or give a share with --warmup_ratio",
            )

    def multiplier(self, step: int) -> float:
        """The rate of step `step` as a share of the peak."""
        if step < self.warmup:
            return step / self.warmup
        progress = Progress(min(step, self.total), self.warmup, self.total)
        lowest = self.config.minimum
        return lowest + (1.0 - lowest) * self.shape(progress, self.config)

    def at(self, step: int) -> float:
        """The rate of the step before which `step` steps were taken."""
        return self.peak * self.multiplier(step)


def warmup_steps(config: ScheduleConfig, total_steps: int) -> int:
    """Steps with a rising rate: the given number, or the given share of the run rounded up."""
    if config.warmup_steps is not None:
        return config.warmup_steps
    return math.ceil(total_steps * config.warmup_ratio)


@schedules.register("constant")
def constant(progress: Progress, config: ScheduleConfig) -> float:
    """The peak throughout; `minimum` has no effect."""
    return 1.0


@schedules.register("linear")
def linear(progress: Progress, config: ScheduleConfig) -> float:
    """A straight line to the minimum."""
    return 1.0 - progress.fraction


@schedules.register("cosine")
def cosine(progress: Progress, config: ScheduleConfig) -> float:
    """Half a cosine wave to the minimum (arXiv 1608.03983 without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress.fraction))


@schedules.register("polynomial")
def polynomial(progress: Progress, config: ScheduleConfig) -> float:
    """The remaining share of the run to the power `power`."""
    return float((1.0 - progress.fraction) ** config.power)


@schedules.register("wsd")
def warmup_stable_decay(progress: Progress, config: ScheduleConfig) -> float:
    """Constant, then half a cosine wave over the last `decay_ratio` of all steps (arXiv 2404.06395)."""
    decay = min(math.ceil(progress.total * config.decay_ratio), progress.total - progress.warmup)
    done = progress.step - (progress.total - decay)
    if done < 0:
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * done / max(1, decay)))
