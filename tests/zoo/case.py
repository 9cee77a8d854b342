"""What is proved of an architecture: a tiny model of it, rows to train on, and how it is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.batch import Batch, MediaInputs
from swift.chat.codec import Codec
from swift.chat.encode import encode
from swift.chat.load import load_codec
from swift.chat.media.samples import drawn_media
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.data.collate import collate
from swift.errors import RowError
from swift.hub import locate
from swift.models.causality import require_causal
from swift.models.forward import make_backbone
from swift.models.fused import fuse
from swift.models.isolation import Layout, Sample, choose_layout, mixed_samples
from swift.models.load import load_config, load_model, load_tokenizer
from swift.models.structure import backbone, head_transform, output_head
from swift.models.tiny import tiny_model
from swift.objectives.policy import Policy
from swift.types import Conversation, Media, Message, Origin, Placed, Tokens

LENGTHS = (12, 8, 4)  # some architectures want multiples of the length of a chunk


@dataclass(frozen=True)
class Case:
    """A model and its rows.

    Attributes:
        model: In float32.
        samples: Rows of different lengths.
        media: What the model gets besides ids for one of them; None for text alone.
        prompt: Arguments of `generate` and of the model itself; none for one with media (see `plain.py`).
    """

    model: PreTrainedModel
    samples: list[Tokens]
    media: Callable[[Tokens], MediaInputs | None] | None
    prompt: dict[str, Tensor]

    def batch(self, samples: list[Tokens], *, packed: bool) -> Batch:
        """A batch of some of the rows."""
        if self.media is None:
            return collate(samples, padding_free=packed, pad_id=0)
        return collate(samples, padding_free=packed, pad_id=0, media=self.media)

    def layout(self) -> Layout:
        """The layout that a run would choose."""
        shown = [item for item in self.samples if item.shown is not None][:2]
        ids = [torch.from_numpy(item.ids.astype("int64"))[None] for item in shown]
        media = [Sample(row, self.media(item)) for row, item in zip(ids, shown, strict=True) if self.media]
        caller = require_causal(make_backbone(backbone(self.model)), mixed_samples(self.model, media))
        return choose_layout(self.model, caller, wanted=None, attention="auto", media=media)

    def policy(self, layout: Layout, tuned: torch.nn.Module | None = None) -> Policy:
        """The model as objectives see it, with adapters where it has got some."""
        whole = tuned if tuned is not None else self.model
        return Policy(whole, layout.backbone, output_head(self.model), head_transform(self.model))


def causal_case(model_type: str) -> Case:
    """Random tokens for a model of text."""
    generator = np.random.default_rng(0)
    samples = []
    for number, length in enumerate(LENGTHS):
        weights = np.ones(length, dtype=np.float32)
        weights[0] = 0.0
        ids = generator.integers(3, 380, length, dtype=np.int32)
        samples.append(Tokens(ids, weights, Origin("random", number + 1)))
    model = tiny_model(model_type)
    fuse(model)
    ids = torch.from_numpy(samples[1].ids.astype("int64"))[None]
    return Case(model, samples, None, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def multimodal_case(folder: Path) -> Case:
    """Short chats with drawn media, for every kind that the saved model takes."""
    located = locate(ModelConfig(id=str(folder)))
    codec = load_codec(folder, load_tokenizer(located), load_config(located), ChatConfig(), media=MediaConfig())
    model = load_model(located, ModelConfig(id=str(folder)), device=torch.device("cpu"), dtype=torch.float32)
    fuse(model)
    assert codec.media is not None, "its processor names no token that stands for a medium"
    return Case(model, _rows(codec), codec.media.inputs, {})


def _rows(codec: Codec) -> list[Tokens]:
    """Text, one medium of each kind, and two of it where the processor takes so many."""
    assert codec.media is not None
    found = [_row(codec, ())]
    for number, kind in enumerate(codec.media.tokens):
        one, other = drawn_media(kind, number), drawn_media(kind, number + 1)
        found.append(_row(codec, (one,)))
        try:
            found.append(_row(codec, (one, other)))
        except RowError as error:
            if not re.search("1:1|[Aa]t most one|too_long|process them separately", str(error)):
                raise
    return found


def _row(codec: Codec, media: tuple[Media, ...]) -> Tokens:
    question = Message(
        "user", "What is this?", media=tuple(Placed(5 * place, item) for place, item in enumerate(media))
    )
    chat = Conversation((question, Message("assistant", "It is noise.")), Origin("drawn", 1))
    (sequence,) = encode(chat, codec, ChatConfig()).sequences
    return sequence
