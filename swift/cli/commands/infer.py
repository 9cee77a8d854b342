"""`swift infer`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.runs import InferConfig


def main(argv: Sequence[str]) -> int:
    """Chat with a model, or answer a whole data set."""
    config = read("infer", "chat with a model, or answer a whole data set", InferConfig, argv)
    if config is None:
        return 0
    from swift.api import infer

    return infer(config)
