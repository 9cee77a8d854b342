"""`swift eval`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.runs import EvalConfig


def main(argv: Sequence[str]) -> int:
    """Judge a model by a data set."""
    config = read("eval", "judge a model by a data set", EvalConfig, argv)
    if config is None:
        return 0
    from swift.api import evaluate

    evaluate(config)
    return 0
