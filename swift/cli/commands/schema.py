"""`swift schema COMMAND`: for editors that complete and check YAML, and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from swift.config.reference import ROOTS
from swift.errors import ConfigError, UnknownNameError


def main(argv: Sequence[str]) -> int:
    """Print the JSON Schema of a command's configuration."""
    if not argv or "--help" in argv or "-h" in argv:
        print(f"usage: swift schema {'|'.join(ROOTS)}\n\nPrints the JSON Schema of the command's configuration file.")
        return 0
    if len(argv) > 1:
        raise ConfigError(f"one command, but {len(argv)} words follow", hint=f"swift schema {argv[0]}")
    if argv[0] not in ROOTS:
        raise UnknownNameError("configuration", argv[0], list(ROOTS), hint=f"one of {', '.join(ROOTS)}")
    print(json.dumps(ROOTS[argv[0]].model_json_schema(), indent=2, ensure_ascii=False))
    return 0
