"""Which evaluation was the best, and when to give up waiting for a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from swift.config.train import EvaluationConfig
from swift.errors import UnknownNameError
from swift.train.state import State


def judge(state: State, metrics: Mapping[str, float], config: EvaluationConfig) -> tuple[State, bool]:
    """The state after an evaluation, and whether to stop early.

    The evaluation before the first step is never the best: there is no checkpoint of it to go back to. Nor is a value
    that is not a number.

    Raises:
        UnknownNameError: The chosen metric is not among `metrics`.
    """
    name = config.metric if config.metric.startswith("eval_") else f"eval_{config.metric}"
    if name not in metrics:
        raise UnknownNameError("metric", config.metric, sorted(metrics))
    if state.step == 0:
        return state, False
    value = metrics[name]
    sign = 1.0 if config.greater_is_better else -1.0
    if not math.isnan(value) and (state.best is None or sign * (value - state.best) > 0.0):
        return replace(state, best=value, stale=0, best_step=state.step), False
    state = replace(state, stale=state.stale + 1)
    return state, config.patience is not None and state.stale >= config.patience
