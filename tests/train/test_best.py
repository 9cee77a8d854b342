"""Which evaluation is the best, and when patience runs out."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from swift.config.train import EvaluationConfig
from swift.errors import UnknownNameError
from swift.train.best import judge
from swift.train.state import State


def course(states: Callable[..., State], values: list[float], **options: object) -> list[tuple[object, bool]]:
    config, state, seen = EvaluationConfig(**options), states(0), []
    for step, value in enumerate(values):
        now = states(step, best=state.best, best_step=state.best_step, stale=state.stale)
        state, stop = judge(now, {"eval_loss": value}, config)
        seen.append((state.best_step, stop))
    return seen


def test_lower_is_better_and_the_start_does_not_count(states: Callable[..., State]) -> None:
    assert [step for step, _ in course(states, [1.0, 3.0, 2.0, 2.0, 2.5, 1.5])] == [None, 1, 2, 2, 2, 5]


def test_greater_is_better(states: Callable[..., State]) -> None:
    assert [step for step, _ in course(states, [0, 1, 3, 2], greater_is_better=True)] == [None, 1, 2, 2]


def test_patience(states: Callable[..., State]) -> None:
    stops = [stop for _, stop in course(states, [9, 3, 4, 2, 3, 3], patience=2)]
    assert stops == [False, False, False, False, False, True]


def test_not_a_number_is_never_the_best(states: Callable[..., State]) -> None:
    assert [step for step, _ in course(states, [9, math.nan, 5, math.nan, 4])] == [None, None, 2, 2, 4]


def test_prefix_may_be_left_out_and_unknown_metrics_are_refused(states: Callable[..., State]) -> None:
    state, _ = judge(states(1), {"eval_loss": 1.0}, EvaluationConfig(metric="loss"))
    assert state.best == 1.0
    with pytest.raises(UnknownNameError, match="metric"):
        judge(states(1), {"eval_loss": 1.0}, EvaluationConfig(metric="eval_los"))
