"""`swift deploy`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.serve import ServeConfig


def main(argv: Sequence[str]) -> int:
    """Serve a model and its adapters over OpenAI's and Anthropic's APIs."""
    config = read("deploy", "serve a model and its adapters over OpenAI's and Anthropic's APIs", ServeConfig, argv)
    if config is None:
        return 0
    from swift.api import serve

    return serve(config)
