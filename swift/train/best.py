"""Which evaluation was the best, and when to give up waiting for a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from swift.config.train import EvaluationConfig
from swift.errors import UnknownNameError
from swift.train.state import State

OF_ROWS = {"eval_loss": False, "eval_token_accuracy": True}
"""What the loss on validation rows can be judged by, and whether more of it is better."""

_PREFIX = "eval_"


@dataclass(frozen=True, slots=True)
class Goal:
    """What best means.

    Attributes:
        metric: Its name among the values of an evaluation.
        greater: Whether more of it is better.
        patience: Evaluations without a better one after which to stop; None never stops.
    """

    metric: str = "eval_loss"
    greater: bool = False
    patience: int | None = None


def goal_of(config: EvaluationConfig, known: Mapping[str, bool]) -> Goal:
    """What best means in a run.

    Args:
        config: What the user says.
        known: What evaluations will measure, and whether more of it is better; at least one.

    Raises:
        UnknownNameError: The chosen metric is not among these.
    """
    name = config.metric if config.metric.startswith(_PREFIX) else f"{_PREFIX}{config.metric}"
    if name == EvaluationConfig.model_fields["metric"].default and name not in known:
        name = next(iter(known))  # no validation rows: the first thing that is asked
    if name not in known:
        there = [other.removeprefix(_PREFIX) for other in known]
        raise UnknownNameError("metric", config.metric, there, hint=f"this run has {', '.join(there)}")
    greater = known[name] if config.greater_is_better is None else config.greater_is_better
    return Goal(name, greater, config.patience)


def judge(state: State, metrics: Mapping[str, float], goal: Goal) -> tuple[State, bool]:
    """The state after an evaluation, and whether to stop early.

    The evaluation before the first step is never the best: there is no checkpoint of it to go back to. Nor is a value
    that is not a number.
    """
    if state.step == 0:
        return state, False
    value = metrics[goal.metric]
    sign = 1.0 if goal.greater else -1.0
    if not math.isnan(value) and (state.best is None or sign * (value - state.best) > 0.0):
        return replace(state, best=value, stale=0, best_step=state.step), False
    state = replace(state, stale=state.stale + 1)
    return state, goal.patience is not None and state.stale >= goal.patience
