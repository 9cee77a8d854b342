"""`swift eval`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.eval_rules import LIST
from swift.config.runs import EvalConfig


def main(argv: Sequence[str]) -> int:
    """Judge a model by a data set."""
    config = read("eval", "measure a model by data sets, benchmarks and lm-eval's tasks", EvalConfig, argv)
    if config is None:
        return 0
    if config.benchmark.sets == LIST:
        from swift.evaluation.benchmarks.listing import show_benchmarks

        show_benchmarks()
        return 0
    if config.compare:
        from swift.evaluation.compare import compare

        compare(config)
        return 0
    from swift.api import evaluate

    evaluate(config)
    return 0
