"""`swift check`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.looks import CheckConfig


def main(argv: Sequence[str]) -> int:
    """Show and prove what training would see; or compare engines."""
    config = read("check", "show what training would see; needs no weights", CheckConfig, argv)
    if config is None:
        return 0
    from swift.api import check

    return check(config)
