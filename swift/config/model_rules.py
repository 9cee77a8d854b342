"""Rules about which model is meant, that many commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from swift.config.model import ModelConfig
from swift.config.problems import Problem


def model_problems(model: ModelConfig | None, adapters: tuple[str, ...], *, required: bool = True) -> Iterator[Problem]:
    """What is wrong with a model and its adapters; with `required`, also that there is none."""
    if required and not adapters and (model is None or not model.id):
        yield Problem("--model", "is required", "such as --model HuggingFaceTB/SmolLM2-135M-Instruct or a local folder")
    if model is None:
        return
    if model.use_hf is not None and model.hub != "auto" and model.use_hf != (model.hub == "hf"):
        yield Problem("--use_hf", f"{str(model.use_hf).lower()} contradicts --hub {model.hub}", "give one of them")
    is_id = bool(model.id) and not Path(model.id).exists()
    if is_id and model.revision is not None and "@" in model.id:
        yield Problem("--model_revision", f"the model {model.id!r} names a revision too", "give one of them")
    if model.id.startswith("ms://") and (model.hub == "hf" or model.use_hf):
        yield Problem("--model", f"{model.id!r} is on ModelScope, but the hub is Hugging Face", "take one of them out")
