"""What is measured: something that predicts tokens and answers prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.engines.base import Engine
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.models.load import load_config, resolve_device, resolve_dtype
from swift.models.locate import locate_model

Logits = Callable[[Sequence[Sequence[int]]], Sequence[Tensor]]
"""From sequences of ids to logits [length, vocabulary] each, in float32 on the CPU."""


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is measured.

    Attributes:
        name: What it is, in words.
        codec: How it turns text into tokens, as its own files say.
        engine: Answers.
        logits: Predicts.
        size: Bytes of its weights' files.
        load_seconds: How long loading took.
        model: The model itself, where it is in this process.
        close: Lets go of it.
    """

    name: str
    codec: Codec
    engine: Engine
    logits: Logits
    size: int
    load_seconds: float
    model: PreTrainedModel | None = None
    close: Callable[[], None] = field(default=_nothing)


def model_subject(plan: Plan, name: str) -> Subject:
    """A model in this process, its adapter beside its weights; several adapters are merged, one after the other.

    On a CPU it computes in float32, so that what differs is the weights and not the sums; elsewhere in the type that it
    would run in.

    Raises:
        SwiftError: It cannot be loaded.
    """
    located = locate_model(plan.model)
    device = resolve_device(plan.model.device)
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    kind = "float32" if device.type == "cpu" else str(resolve_dtype(plan.model, config, device)).removeprefix("torch.")
    model = plan.model.model_copy(update={"dtype": kind})
    begun = time.monotonic()
    planned = Plan(model, plan.adapters, plan.chat, plan.tokenizer, plan.media)
    engine = load_engine(planned, limits=Limits(), merge_lora=len(plan.adapters) > 1, pack=False)
    seconds = time.monotonic() - begun
    sizes = weight_files(located.path) + sum(map(weight_files, plan.adapters.values()))
    return Subject(
        name, engine.codec, engine, lambda rows: [engine.logits(row) for row in rows], sizes, seconds, engine.model
    )


def weight_files(place: Path) -> int:
    """Bytes of the files of weights in a folder, or of a single file."""
    if place.is_file():
        return place.stat().st_size
    return sum(file.stat().st_size for kind in ("*.safetensors", "*.gguf", "*.bin") for file in place.glob(kind))
