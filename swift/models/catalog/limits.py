"""What is known not to work with an architecture, and why: proved by the tests, which go through all of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Proof = Literal["build", "full", "lora", "packed", "padded", "generate", "reload", "merge", "tower"]
Modality = Literal["causal", "multimodal"]

PROOFS: dict[Proof, str] = {
    "build": "a random tiny model of it can be made",
    "full": "training all weights lowers the loss",
    "lora": "training a LoRA adapter lowers the loss",
    "packed": "samples back to back in one row have the loss and gradients of the same samples one by one",
    "padded": "so have samples in padded rows",
    "generate": "it continues a prompt",
    "reload": "saved and loaded again, its logits are the same",
    "tower": "what its towers make of media gets gradients",
    "merge": "with the adapter merged into its weights, its logits are the same",
}
"""What is proved of each architecture."""


def limits(model_type: str, modality: Modality) -> Mapping[Proof, str]:
    """Proofs that do not hold for an architecture, each with the reason; empty where all do.

    Args:
        model_type: As in a checkpoint's config.json.
        modality: Whether it is meant as a model of text, or with its media.
    """
    return _read()[modality].get(model_type, {})


@functools.cache
def _read() -> Mapping[Modality, Mapping[str, Mapping[Proof, str]]]:
    import yaml

    text = (Path(__file__).parent / "limits.yaml").read_text(encoding="utf-8")
    table: dict[Modality, dict[str, dict[Proof, str]]] = {"causal": {}, "multimodal": {}}
    for modality, entries in yaml.safe_load(text).items():
        for entry in entries:
            for name in entry["of"].split():
                table[modality].setdefault(name, {}).update(dict.fromkeys(entry["not"].split(), entry["why"]))
    return table
