"""The flags that every command takes. `make snapshots` writes them to flags.txt."""

from __future__ import annotations

import sys

from swift.config import familiar
from swift.config.reference import ROOTS
from swift.config.schema import table


def snapshot() -> str:
    """One line a flag: command, flag, the option that it sets; then flags of other systems that are understood."""
    lines = [
        f"{command} --{flag} {option.key}"
        for command, root in ROOTS.items()
        for option in table(root).options()
        for flag in (*option.flags, option.key)
    ]
    lines += [f"familiar --{flag}" for flag in familiar.FLAGS]
    return "\n".join(sorted(set(lines))) + "\n"


if __name__ == "__main__":
    sys.stdout.write(snapshot())
