"""Tiny multimodal models with rows that show drawn pictures, videos and sounds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.chat.encode import encode
from swift.chat.load import load_codec
from swift.chat.media.samples import drawn_media
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.data.collate import collate
from swift.hub import locate
from swift.models.causality import require_causal
from swift.models.forward import make_backbone
from swift.models.isolation import Layout, Sample, choose_layout, mixed_samples
from swift.models.load import load_config, load_model, load_tokenizer
from swift.models.structure import backbone, head_transform, output_head
from swift.objectives.policy import Policy
from swift.objectives.sft import SftObjective
from swift.types import Conversation, MediaKind, Message, Origin, Placed, Tokens

ORIGIN = Origin("drawn", 1)
ANSWERS = ("red", "It is a house by the sea.", "no", "two of them")


@dataclass(frozen=True)
class Prepared:
    """A tiny model and what prepares its rows."""

    model: PreTrainedModel
    codec: Codec
    samples: list[Tokens]
    layout: Layout

    def policy(self, layout: Layout) -> Policy:
        return Policy(self.model, layout.backbone, output_head(self.model), head_transform(self.model))


def prepare(folder: Path, *, wanted: bool | None = None, kinds: Collection[MediaKind] | None = None) -> Prepared:
    located = locate(ModelConfig(id=str(folder)))
    config = load_config(located)
    codec = load_codec(folder, load_tokenizer(located), config, ChatConfig(), media=MediaConfig())
    model = load_model(located, ModelConfig(id=str(folder)), device=torch.device("cpu"), dtype=torch.float32)
    samples = rows(codec, kinds)
    assert codec.media is not None
    shown = [item for item in samples if item.shown is not None]
    media = [Sample(torch.from_numpy(item.ids.astype("int64"))[None], codec.media.inputs(item)) for item in shown]
    caller = require_causal(make_backbone(backbone(model)), mixed_samples(model, media))
    layout = choose_layout(model, caller, wanted=wanted, attention="auto", media=media)
    return Prepared(model, codec, samples, layout)


def rows(codec: Codec, kinds: Collection[MediaKind] | None = None) -> list[Tokens]:
    """Text alone, one medium, several media, media in a later turn: for these kinds, or all that the model takes."""
    assert codec.media is not None
    found = [_encode(codec, _turn("Is it?", ()), _turn("Yes.", (), "assistant"))]
    for number, kind in enumerate(kinds or codec.media.tokens):
        one, other = (Placed(at, drawn_media(kind, number + at)) for at in (0, 5))
        answer = ANSWERS[number % len(ANSWERS)]
        found.append(_encode(codec, _turn("What is this?", (one,)), _turn(answer, (), "assistant")))
        found.append(_encode(codec, _turn("Hello", ()), _turn("Hi.", (), "assistant"), *_pair(one, other)))
    found.append(_encode(codec, _turn("And now?", ()), _turn("Nothing any more.", (), "assistant")))
    return found


def _pair(one: Placed, other: Placed) -> tuple[Message, Message]:
    return _turn("Both of them?", (one, other)), _turn("Both.", (), "assistant")


def _turn(text: str, media: tuple[Placed, ...], role: str = "user") -> Message:
    return Message(role, text, media=media)  # type: ignore[arg-type]


def _encode(codec: Codec, *messages: Message) -> Tokens:
    # A processor that ends every text in a way of its own makes a sequence a turn.
    return encode(Conversation(messages, ORIGIN), codec, ChatConfig()).sequences[-1]


def loss_and_gradients(
    prepared: Prepared, layout: Layout, groups: list[list[Tokens]]
) -> tuple[float, dict[str, torch.Tensor]]:
    """The summed loss over all groups, each a batch, and its gradients."""
    assert prepared.codec.media is not None
    model = prepared.model
    policy = prepared.policy(layout)
    model.zero_grad(set_to_none=True)
    total = 0.0
    for group in groups:
        batch = collate(
            group, padding_free=layout.padding_free, pad_id=prepared.codec.pad_id, media=prepared.codec.media.inputs
        )
        loss = SftObjective()(policy, batch).total
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
