"""Methods whose library quantizes while transformers reads the weights: what is loaded is what is saved."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from transformers import PreTrainedModel

from swift.exporting.quantize.method import QuantPlan
from swift.models.load import load_model
from swift.models.quiet import quiet


def load_quantized(plan: QuantPlan) -> PreTrainedModel:
    """The model, its layers quantized.

    Raises:
        SwiftError: It cannot be loaded so.
    """
    model = plan.model.model_copy(update={"quantization": plan.config})
    return load_model(plan.source, model, device=plan.device, dtype=plan.dtype)


def save_loaded(plan: QuantPlan, folder: Path, libraries: Iterable[str]) -> dict[str, str]:
    """Load, and save as transformers does; returns the versions of the libraries."""
    model = load_quantized(plan)
    with quiet():
        model.save_pretrained(folder, max_shard_size=plan.shard)
    return {name: version(name) for name in ("transformers", *libraries)}
