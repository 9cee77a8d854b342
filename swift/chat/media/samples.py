"""Small conversations with media that are drawn here, to try a model with."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import numpy as np

from swift.chat.codec import Codec
from swift.chat.encode import encode
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.media import as_media
from swift.types import Conversation, Media, MediaKind, Message, Origin, Placed, Text, Tokens

_ORIGIN = Origin("a drawn sample", 1)
_SIZES = ((64, 48), (48, 80))
_FRAMES = 4


def drawn_samples(codec: Codec, options: ChatConfig, kinds: Collection[MediaKind]) -> list[Tokens]:
    """Two conversations for each of some kinds of media, of different sizes.

    A kind that the processor refuses even so is left out: it refuses the user's rows, too, with its reason.
    """
    found: list[Tokens] = []
    for kind, number in product(sorted(kinds), range(2)):
        try:
            row = encode(_sample(kind, number, codec), codec, options.model_copy(update={"max_length": None}))
        except RowError:
            continue
        found += row.sequences[:1]
    return found


def drawn_media(kind: MediaKind, number: int) -> Media:
    """A medium of random pixels or samples; another one for another number."""
    generator = np.random.default_rng(number)
    width, height = _SIZES[number % 2]
    if kind == "audio":
        rate = 16_000
        return as_media(kind, {"array": generator.normal(scale=0.1, size=rate), "sampling_rate": rate})
    frames = [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(_FRAMES)]
    return as_media(kind, frames[0] if kind == "image" else np.stack(frames))


def _sample(kind: MediaKind, number: int, codec: Codec) -> Conversation | Text:
    media = (Placed(0, drawn_media(kind, number)),)
    if not codec.template.source:
        return Text("What is this? It is noise, and nothing else.", _ORIGIN, media=media)
    question = "What is this?" if number else "And what do you find here?"
    return Conversation((Message("user", question, media=media), Message("assistant", "It is noise.")), _ORIGIN)
