"""Schedules equal those of transformers where the definitions coincide, and keep their promises elsewhere."""

from __future__ import annotations

import pytest
import torch

from swift.config.optim import ScheduleConfig
from swift.errors import ConfigError, UnknownNameError
from swift.train.schedule import Progress, Schedule, schedules, warmup_steps

PEAK, TOTAL = 3e-4, 57


def ours(steps: int = TOTAL, **options: object) -> list[float]:
    schedule = Schedule(ScheduleConfig(**options), PEAK, TOTAL)
    return [schedule.at(step) for step in range(steps)]


def theirs(make, steps: int = TOTAL) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("warmup", [0, 1, 9])
@pytest.mark.parametrize("name", ["cosine", "linear", "constant", "polynomial", "cosine minimum", "wsd"])
def test_equals_transformers(name: str, warmup: int) -> None:
    t = pytest.importorskip("transformers.optimization")
    cases = {
        "cosine": ({}, lambda o: t.get_cosine_schedule_with_warmup(o, warmup, TOTAL)),
        "linear": ({}, lambda o: t.get_linear_schedule_with_warmup(o, warmup, TOTAL)),
        "constant": ({}, lambda o: t.get_constant_schedule_with_warmup(o, warmup)),
        "polynomial": (
            {"power": 2.0, "minimum": 0.1},
            lambda o: t.get_polynomial_decay_schedule_with_warmup(o, warmup, TOTAL, lr_end=0.1 * PEAK, power=2.0),
        ),
        "cosine minimum": (
            {"minimum": 0.2},
            lambda o: t.get_cosine_with_min_lr_schedule_with_warmup(o, warmup, TOTAL, min_lr_rate=0.2),
        ),
        # Theirs starts a warm-up at the minimum, ours at 0: the same for a minimum of 0 only.
        "wsd": ({"decay_ratio": 0.3}, lambda o: t.get_wsd_schedule(o, warmup, 18, TOTAL)),
    }
    options, make = cases[name]
    if name == "cosine minimum":
        # Their minimum lifts the warm-up too in this variant; compare after it.
        assert ours(name="cosine", warmup_steps=warmup, **options)[warmup:] == pytest.approx(theirs(make)[warmup:])
        return
    assert ours(name=name, warmup_steps=warmup, **options) == pytest.approx(theirs(make), rel=1e-12, abs=1e-20)


@pytest.mark.parametrize("name", ["cosine", "linear", "polynomial", "wsd"])
def test_ends_at_the_minimum_and_stays(name: str) -> None:
    schedule = Schedule(ScheduleConfig(name=name, minimum=0.25, warmup_ratio=0.1), PEAK, TOTAL)
    assert schedule.at(TOTAL) == pytest.approx(0.25 * PEAK)
    assert schedule.at(TOTAL + 100) == schedule.at(TOTAL)
    assert schedule.at(schedule.warmup) == pytest.approx(PEAK)
    rates = [schedule.at(step) for step in range(schedule.warmup, TOTAL + 1)]
    assert rates == sorted(rates, reverse=True)


def test_warmup_is_a_share_rounded_up_and_steps_win() -> None:
    assert warmup_steps(ScheduleConfig(warmup_ratio=0.03), 64) == 2
    assert warmup_steps(ScheduleConfig(warmup_ratio=0.03, warmup_steps=0), 64) == 0
    assert Schedule(ScheduleConfig(warmup_steps=4), 1.0, 10).at(1) == 0.25
    assert Schedule(ScheduleConfig(warmup_steps=4), 1.0, 10).at(0) == 0.0


@pytest.mark.parametrize("total", [1, 2])
@pytest.mark.parametrize("name", ["cosine", "linear", "constant", "polynomial", "wsd"])
def test_shortest_runs(name: str, total: int) -> None:
    assert Schedule(ScheduleConfig(name=name), PEAK, total).at(0) == pytest.approx(PEAK)


def test_refusals() -> None:
    with pytest.raises(UnknownNameError) as caught:
        Schedule(ScheduleConfig(name="cosin"), PEAK, TOTAL)
    assert caught.value.hint == "did you mean cosine?"
    with pytest.raises(ConfigError, match="warmup_steps is 58 and the run has only 57 steps"):
        Schedule(ScheduleConfig(warmup_steps=58), PEAK, TOTAL)


def test_a_plugin_registers_one_function() -> None:
    @schedules.register("test-half")
    def half(progress: Progress, config: ScheduleConfig) -> float:
        return 1.0 - progress.fraction / 2

    assert Schedule(ScheduleConfig(name="test-half"), 1.0, 10).at(10) == 0.5
