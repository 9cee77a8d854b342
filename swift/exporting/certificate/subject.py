"""What is measured: something that predicts tokens and answers prompts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor, from_numpy
from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.transformers import TransformersEngine
from swift.models.gguf import as_folder
from swift.models.load import load_config, resolve_device, resolve_dtype
from swift.models.locate import locate_model
from swift.models.quantize.checkpoint import computes_in_bfloat16
from swift.types import Completion, Ids, Request, Sampling

Row = tuple[Sequence[int], NDArray[Any]]
"""Token ids, and the positions where predictions are wanted."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Greedy answers.

    Attributes:
        tokens: Of each, the stop token included.
        seconds: For all of them.
        stopped: How many ended with a stop token.
    """

    tokens: tuple[tuple[int, ...], ...]
    seconds: float
    stopped: int


class Subject(Protocol):
    """A model that is measured.

    Attributes:
        name: What runs it, in words.
        size: Bytes of its files of weights.
    """

    name: str
    size: int

    @property
    def load_seconds(self) -> float:
        """How long loading took; asked for at the end."""

    def predictions(self, rows: Sequence[Row]) -> Iterator[Tensor]:
        """Of each row: logits [places, vocabulary], in float32 on the CPU."""

    def answers(self, prompts: Sequence[tuple[int, ...]], new_tokens: int, stops: frozenset[int]) -> Answers:
        """Greedy answers to prompts of token ids."""


class ModelSubject:
    """A model in this process, its adapter beside its weights; several adapters are merged, one after the other.

    On a CPU it computes in float32, so that what differs is the weights and not the sums, but for formats that compute
    in bfloat16 only; elsewhere in the type that it would run in.

    Args:
        plan: What to load.
        name: What runs it, in words.

    Raises:
        SwiftError: It cannot be loaded.
    """

    def __init__(self, plan: Plan, name: str) -> None:
        located = locate_model(plan.model)
        begun = time.monotonic()
        self._engine = _engine(plan)
        self.load_seconds = time.monotonic() - begun
        self.name = name
        self.size = weight_files(as_folder(located)) + sum(map(weight_files, plan.adapters.values()))

    @property
    def codec(self) -> Codec:
        """How its own files turn text into tokens."""
        return self._engine.codec

    @property
    def model(self) -> PreTrainedModel:
        """The model itself."""
        return self._engine.model

    def predictions(self, rows: Sequence[Row]) -> Iterator[Tensor]:
        """Of each row: logits [places, vocabulary], in float32 on the CPU."""
        for ids, places in rows:
            yield self._engine.logits(ids)[from_numpy(places)]

    def answers(self, prompts: Sequence[tuple[int, ...]], new_tokens: int, stops: frozenset[int]) -> Answers:
        """Greedy answers to prompts of token ids, all at once."""
        rules = Sampling(max_new_tokens=new_tokens, stop_ids=tuple(sorted(stops)))
        self._engine.generate([Request(Ids(prompts[0]), Sampling(max_new_tokens=2))])  # what is made at the first call
        begun = time.monotonic()
        results = self._engine.generate([Request(Ids(prompt), rules) for prompt in prompts])
        seconds = time.monotonic() - begun
        tokens = tuple(result.token_ids if isinstance(result, Completion) else () for result in results)
        return Answers(tokens, seconds, sum(bool(answer) and answer[-1] in stops for answer in tokens))


def _engine(plan: Plan) -> TransformersEngine:
    device = resolve_device(plan.model.device)
    config = load_config(locate_model(plan.model), trust_remote_code=plan.model.trust_remote_code)
    if device.type == "cpu":
        kind = "bfloat16" if computes_in_bfloat16(config) else "float32"
    else:
        kind = str(resolve_dtype(plan.model, config, device)).removeprefix("torch.")
    model = plan.model.model_copy(update={"dtype": kind})
    planned = Plan(model, plan.adapters, plan.chat, plan.tokenizer, plan.media)
    return load_engine(planned, limits=Limits(), merge_lora=len(plan.adapters) > 1, pack=False)


def weight_files(place: Path) -> int:
    """Bytes of the files of weights in a folder, or of a single file; of several formats, that which is loaded."""
    if place.is_file():
        return place.stat().st_size
    sizes = ([file.stat().st_size for file in place.glob(kind)] for kind in ("*.safetensors", "*.bin", "*.gguf"))
    return next((sum(found) for found in sizes if found), 0)
