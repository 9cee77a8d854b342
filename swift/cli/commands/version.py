"""`swift version`."""

from __future__ import annotations

from collections.abc import Sequence

from swift import __version__


def main(argv: Sequence[str]) -> int:
    """Print the version."""
    print(f"swift-finetune {__version__}")
    return 0
