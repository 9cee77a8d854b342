"""Rules of the questions that are asked while training."""

from __future__ import annotations

from collections.abc import Iterator

from swift.config.eval_rules import LIST, set_problems
from swift.config.problems import Problem
from swift.config.sft import SftConfig
from swift.config.tuner import PROMPTS


def questions(config: SftConfig) -> Iterator[Problem]:
    """What is wrong with the questions that are asked at each evaluation."""
    sets, evaluation = config.benchmark, config.evaluation
    if sets.sets == LIST:
        yield Problem("--eval_dataset", "list is for `swift eval`", "run `swift eval --eval_dataset list`")
        return
    yield from set_problems(sets, temperature=0.0)
    asks = bool(sets.sets) or evaluation.rows_metric is not None
    if sets.limit is not None and not asks:
        yield Problem("--eval_limit", "nothing is asked", "add --eval_dataset or --eval_metric")
    if evaluation.max_new_tokens is not None and not asks:
        yield Problem("--eval_max_new_tokens", "nothing is asked", "add --eval_dataset or --eval_metric")
    if asks and isinstance(config.tuner, PROMPTS):
        flag = "--eval_dataset" if sets.sets else "--eval_metric"
        why = f"{config.tuner.type} stands in front of rows, which cannot be asked while it is trained"
        yield Problem(flag, why, "use `swift eval --adapters` on checkpoints")
    yield from _rows(config)


def _rows(config: SftConfig) -> Iterator[Problem]:
    metric = config.evaluation.rows_metric
    if metric is None:
        return
    if config.task == "pt":
        yield Problem("--eval_metric", "plain text has no turns to judge", "use --eval_dataset")
    if metric == "judge":
        yield Problem("--eval_metric", "judge needs another model", "use `swift eval --metric judge` on checkpoints")
    if not config.data.validation and not config.data.split_ratio:
        yield Problem("--eval_metric", "there are no validation rows", "add --val_dataset or --split_dataset_ratio")
