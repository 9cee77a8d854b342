"""What commands with a configuration have in common: help, parsing, notes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from swift.cli import launch
from swift.config.option import Config

C = TypeVar("C", bound=Config)


def read(
    command: str,
    summary: str,
    root: type[C],
    argv: Sequence[str],
    *,
    preset: Mapping[str, Any] | None = None,
    notes: bool = True,
) -> C | None:
    """The command's configuration; None where help was asked for and has been printed.

    Notes about flags that change nothing go to stderr, a line each, unless `notes` is false.

    Raises:
        ProblemsError: Everything that is wrong with it.
    """
    if "--help" in argv or "-h" in argv:
        from swift.config.help import help_text
        from swift.config.schema import table

        print(help_text(command, summary, table(root), width=min(max(launch.columns(), 60), 120)))
        return None
    from swift.config.parse import parse

    parsed = parse(root, argv, preset=preset)
    for note in parsed.notes if notes else ():
        print(f"note: {note}", file=sys.stderr)
    return parsed.config
