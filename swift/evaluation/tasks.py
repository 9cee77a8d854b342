"""From the configuration to the sets that are asked."""

from __future__ import annotations

from pathlib import Path

from swift.config.runs import EvalConfig
from swift.errors import DataError
from swift.evaluation.benchmarks.ask import asked
from swift.evaluation.benchmarks.registry import distinct, parse_wish
from swift.evaluation.metric import Metric
from swift.evaluation.metrics import METRICS, json_metric
from swift.evaluation.structured import schema_check
from swift.evaluation.task import Task
from swift.evaluation.turns import BAD, selected, turns_of
from swift.inference.answerers import sampling_of
from swift.inference.overlap import require_bleu


def tasks_of(config: EvalConfig) -> list[Task]:
    """Every set with its questions.

    Raises:
        SwiftError: A set or a metric cannot be used.
    """
    if config.benchmark.sets:
        return [asked(wish, config) for wish in distinct([*map(parse_wish, config.benchmark.sets)])]
    return [_rows(config)]


def _rows(config: EvalConfig) -> Task:
    """The user's own rows: a question for each turn of the assistant."""
    metric = metric_of(config)
    told = {BAD: "bad rows", **metric.filter.told}
    skipped = dict.fromkeys(told, 0)
    items = list(turns_of(selected(config.data), config.data, metric.filter, skipped))
    if not items:
        why = ", ".join(f"{count:,} {told[reason]}" for reason, count in skipped.items() if count)
        raise DataError(
            f"no turn is left to judge: {why or 'no turn of the assistant'}", hint="choose another --metric"
        )
    if config.benchmark.limit is not None:
        items = items[: config.benchmark.limit]
    return Task(
        name=config.metric,
        metric_name=config.metric,
        metric=metric,
        items=items,
        folder=Path(config.output_dir),
        rules=sampling_of(config.generation, config.seed),
        skipped=skipped,
        told=told,
        facts={"rows": [*config.data.train, *config.data.validation]},
        identity={"schema": config.json_schema and Path(config.json_schema).read_text()},
    )


def metric_of(config: EvalConfig) -> Metric:
    """The metric of the user's own rows.

    Raises:
        SwiftError: A library that it needs is not installed, or its schema cannot be used.
    """
    if config.metric == "bleu":
        require_bleu()
    if config.json_schema is not None:
        return json_metric(schema_check(config.json_schema))
    return METRICS[config.metric]
