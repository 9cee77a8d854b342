"""`swift bench`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.bench import BenchConfig


def main(argv: Sequence[str]) -> int:
    """Run the experiments of a file, and compare them in one table."""
    words = list(argv)
    if words and not words[0].startswith("-"):
        words = ["--file", *words]
    config = read("bench", "run the experiments of a file, and compare them in one table", BenchConfig, words)
    if config is None:
        return 0
    from swift.api import bench

    bench(config)
    return 0
