"""What has been proved of an architecture with a small model of it, by the tests in `tests/models/zoo`.

    qwen3: {lora: true, full: true, packed: "a reason why not", generate: true, reload: true, merge: true, media: []}

The tests write `proofs.yaml`; an architecture that is not in it, or a file that is not there, says nothing yet.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROVED_BY = "tests/models/zoo"
FILE = Path(__file__).parent / "proofs.yaml"


@dataclass(frozen=True, slots=True)
class Proof:
    """Results for one architecture.

    Attributes:
        works: What was done and worked, such as `lora` or `generate`.
        fails: What does not, each with the reason.
        media: Media that were trained on.
    """

    works: tuple[str, ...] = ()
    fails: Mapping[str, str] | None = None
    media: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [", ".join((*self.works, *self.media))] if self.works or self.media else []
        return "; ".join(parts + [f"not {what}: {reason}" for what, reason in (self.fails or {}).items()])


def proof_of(model_type: str, file: Path = FILE) -> Proof | None:
    """What was proved of this architecture; None where nothing is recorded."""
    values = _read(file).get(model_type)
    return None if values is None else _proof(values)


def _proof(values: Mapping[str, Any]) -> Proof:
    results = {name: value for name, value in values.items() if name != "media"}
    return Proof(
        works=tuple(name for name, value in results.items() if value is True),
        fails={name: str(value or "no reason given") for name, value in results.items() if value is not True},
        media=tuple(values.get("media", ())),
    )


@functools.cache
def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with file.open(encoding="utf-8") as stream:
        loaded: dict[str, Any] | None = yaml.load(stream, Loader=loader)
    return loaded or {}
