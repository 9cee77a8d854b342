"""`swift plan`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.looks import PlanConfig


def main(argv: Sequence[str]) -> int:
    """Memory and time of a run."""
    config = read("plan", "memory and time of a run, before paying for it", PlanConfig, argv)
    if config is None:
        return 0
    from swift.api import plan

    return plan(config)
