"""What has been proved of an architecture with a small model of it, by the tests in `tests/zoo`.

The tests write `proved.yaml`, the names of all architectures that they went through; `limits.yaml` says what does not
hold for them. An architecture that is in neither is new: nothing is known of it yet.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swift.models.catalog.limits import PROOFS, Modality, Proof, limits

PROVED_BY = "tests/zoo"
FILE = Path(__file__).parent / "proved.yaml"
_MODALITIES: tuple[Modality, ...] = ("multimodal", "causal")


@dataclass(frozen=True, slots=True)
class Proved:
    """Results for one architecture.

    Attributes:
        modality: Whether it was tried with its media.
        works: What holds, such as `lora` or `generate`.
        fails: What does not, each with the reason.
    """

    modality: Modality
    works: tuple[Proof, ...]
    fails: Mapping[Proof, str]

    def __str__(self) -> str:
        parts = [", ".join(self.works)] if self.works else []
        return "; ".join(parts + [f"not {what}: {reason}" for what, reason in self.fails.items()])


def proof_of(model_type: str, file: Path = FILE) -> Proved | None:
    """What was proved of this architecture, with its media if it has any; None where it was never tried."""
    modality = next((kind for kind in _MODALITIES if model_type in _tried(file).get(kind, ())), None)
    if modality is None:
        return None
    fails = limits(model_type, modality)
    skipped = {"tower"} if modality == "causal" else set()
    works = () if "build" in fails else tuple(name for name in PROOFS if name not in fails and name not in skipped)
    return Proved(modality, works, fails)


@functools.cache
def _tried(file: Path) -> Mapping[str, frozenset[str]]:
    import yaml

    if not file.is_file():
        return {}
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return {kind: frozenset(str(names).split()) for kind, names in loaded.items()}
