"""The metrics of benchmarks: those of own rows, and some that only benchmarks have."""

from __future__ import annotations

from dataclasses import replace

from swift.config.benchmark import BenchmarkConfig
from swift.evaluation.benchmarks.base import Benchmark
from swift.evaluation.code.passing import code_metric
from swift.evaluation.item import Item
from swift.evaluation.metric import Measure, Metric, Scores, named
from swift.evaluation.metrics import METRICS

OWN: dict[str, dict[str, Measure]] = {
    "bfcl": {"accuracy": Measure("Accuracy", named("right"))},
    "ifeval": {
        "strict": Measure("all followed", named("strict")),
        "loose": Measure("loosely", named("loose")),
        "instructions": Measure("instructions", lambda scores: sum(scores["each"]) / len(scores["each"])),
    },
}
"""Measures of metrics that only one benchmark has."""


def benchmark_metric(benchmark: Benchmark, options: BenchmarkConfig) -> tuple[str, Metric]:
    """Name and metric of a benchmark, by its own and the user's choice."""
    name = benchmark.metric
    if name == "code":
        return name, code_metric(options)
    if name == "bfcl":
        from swift.evaluation.benchmarks.bfcl import score

        return name, Metric(OWN[name], score, failed=lambda item: {"right": False, "why": "not asked"})
    if name == "ifeval":
        from swift.evaluation.benchmarks.ifeval import failed, followed

        return name, Metric(OWN[name], followed, failed=failed)
    if name == "letter" and options.choice_by == "likelihood":
        name = "choice"
    return name, replace(METRICS[name], failed=_wrong)


def _wrong(item: Item) -> Scores:
    wrong = dict.fromkeys(("right", "right_norm", "read", "exact"), False)
    return {**wrong, "f1": 0.0, "choices": max(1, len(item.choices))}
