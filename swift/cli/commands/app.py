"""`swift app`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.app import AppConfig


def main(argv: Sequence[str]) -> int:
    """Talk to a model, or to a running server, in the browser."""
    config = read("app", "talk to a model, or to a running server, in the browser", AppConfig, argv)
    if config is None:
        return 0
    from swift.api import run_app

    return run_app(config)
