"""Which evaluation is the best, and when patience runs out."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from swift.config.train import EvaluationConfig
from swift.errors import UnknownNameError
from swift.train.best import OF_ROWS, Goal, goal_of, judge
from swift.train.state import State


def course(states: Callable[..., State], values: list[float], **options: object) -> list[tuple[object, bool]]:
    goal, state, seen = Goal(**options), states(0), []  # type: ignore[arg-type]
    for step, value in enumerate(values):
        now = states(step, best=state.best, best_step=state.best_step, stale=state.stale)
        state, stop = judge(now, {"eval_loss": value}, goal)
        seen.append((state.best_step, stop))
    return seen


def test_lower_is_better_and_the_start_does_not_count(states: Callable[..., State]) -> None:
    assert [step for step, _ in course(states, [1.0, 3.0, 2.0, 2.0, 2.5, 1.5])] == [None, 1, 2, 2, 2, 5]


def test_greater_is_better(states: Callable[..., State]) -> None:
    assert [step for step, _ in course(states, [0, 1, 3, 2], greater=True)] == [None, 1, 2, 2]


def test_patience(states: Callable[..., State]) -> None:
    stops = [stop for _, stop in course(states, [9, 3, 4, 2, 3, 3], patience=2)]
    assert stops == [False, False, False, False, False, True]


def test_not_a_number_is_never_the_best(states: Callable[..., State]) -> None:
    assert [step for step, _ in course(states, [9, math.nan, 5, math.nan, 4])] == [None, None, 2, 2, 4]


def test_what_is_better_is_known() -> None:
    known = {**OF_ROWS, "eval_toolbench_act_em": True, "eval_toolbench_hallucination": False}
    assert goal_of(EvaluationConfig(), known) == Goal("eval_loss", greater=False)
    assert goal_of(EvaluationConfig(metric="token_accuracy"), known).greater
    assert goal_of(EvaluationConfig(metric="toolbench_act_em"), known) == Goal("eval_toolbench_act_em", greater=True)
    assert not goal_of(EvaluationConfig(metric="eval_toolbench_hallucination"), known).greater
    assert goal_of(EvaluationConfig(metric="loss", greater_is_better=True), known).greater


def test_without_a_loss_the_first_question_decides() -> None:
    known = {"eval_mcq_accuracy": True, "eval_mcq_accuracy_norm": True}
    assert goal_of(EvaluationConfig(patience=3), known) == Goal("eval_mcq_accuracy", greater=True, patience=3)
    with pytest.raises(UnknownNameError, match="token_accuracy"):
        goal_of(EvaluationConfig(metric="token_accuracy"), known)


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="metric 'eval_los'") as caught:
        goal_of(EvaluationConfig(metric="eval_los"), OF_ROWS)
    assert "loss" in caught.value.hint
    for name in ("seconds", "targets"):  # measured, but no goal
        with pytest.raises(UnknownNameError):
            goal_of(EvaluationConfig(metric=name), OF_ROWS)
