"""What tells the files of a model from others at the same place, without reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

_WEIGHTS = frozenset((".safetensors", ".bin", ".pt", ".pth", ".gguf"))
_SHAPES = frozenset(("config.json", "adapter_config.json"))

State = tuple[str, int, int]


def states_of(path: Path) -> list[State]:
    """Name, length and time of change of a file, or of each file of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [(file, file.stat()) for file in files if file.is_file()]
    return [(str(file), state.st_size, state.st_mtime_ns) for file, state in found]


def key_of(*parts: object) -> str:
    """A short hash of what a model's files are, and of what is made of them."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def weights_key(places: Iterable[Path]) -> str | None:
    """What identifies the weights in folders and files; None where none is there.

    Other files of a folder do not count: answers may be written beside the weights.
    """
    found = [state for place in places if place.exists() for state in _weights(states_of(place))]
    return key_of(found) if found else None


def _weights(states: Sequence[State]) -> list[State]:
    named = [(Path(file), (file, size, changed)) for file, size, changed in states]
    return [state for file, state in named if file.suffix.lower() in _WEIGHTS or file.name in _SHAPES]
