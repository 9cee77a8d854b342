"""Tags in the text of a conversation become names and boxes as the model's family writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from swift.chat import reasons
from swift.chat.grounding.formats import Format
from swift.chat.media.place import require_processor
from swift.errors import RowError
from swift.types import Conversation, Media, Message, Objects, Placed

if TYPE_CHECKING:
    from swift.chat.codec import Codec

REF_TAG = "<ref-object>"
BOX_TAG = "<bbox>"
TAGGED_ROLES = ("user", "assistant")
"""Whose text may have tags."""

Size = tuple[int, int]
"""Width and height in pixels."""

_TAGS = re.compile(f"{REF_TAG}|{BOX_TAG}")
_SLACK = 1.0
"""Pixels by which a coordinate may lie outside the picture, which annotators' rounding makes."""


def ground(sample: Conversation, codec: Codec) -> Conversation:
    """The conversation with its tags written out, as training, prompts and inference see it; it has no objects then.

    Raises:
        RowError: `bad_objects`: a box lies outside its picture, or has none; or a picture cannot be had.
    """
    if sample.objects is None:
        return sample
    objects = sample.objects
    words = (written_ref(ref, codec.grounding) for ref in objects.refs)
    boxes = iter(written_boxes(sample, objects, codec))
    messages = tuple(
        _written(message, words, boxes) if message.role in TAGGED_ROLES else message for message in sample.messages
    )
    return replace(sample, messages=messages, objects=None)


def written_boxes(sample: Conversation, objects: Objects, codec: Codec) -> list[str]:
    """Every box and point of the row as text.

    Raises:
        RowError: As `ground`.
    """
    form = codec.grounding
    pictures = pictures_of(sample)
    sizes: dict[int, Size] = {}
    found = []
    for share, image in zip(shares(sample, objects, codec), objects.images, strict=True):
        if form.coordinates.steps == 0 and image not in sizes:
            picture = _picture(pictures, image)
            sizes[image] = require_processor(codec, [picture]).shown_size(picture)
        found.append(written_box(share, form, sizes.get(image, (1, 1))))
    return found


def shares(sample: Conversation, objects: Objects, codec: Codec) -> list[tuple[float, ...]]:
    """Each box and point as parts of the width and the height of its picture, from 0 to 1.

    Raises:
        RowError: As `ground`.
    """
    pictures = pictures_of(sample)
    sizes: dict[int, Size] = {}
    found: list[tuple[float, ...]] = []
    for number, (box, image) in enumerate(zip(objects.boxes, objects.images, strict=True), 1):
        if objects.scale == "real":
            if image not in sizes:
                picture = _picture(pictures, image)
                sizes[image] = require_processor(codec, [picture]).file_size(picture)
            sides = sizes[image]
            if any(value > sides[place % 2] + _SLACK for place, value in enumerate(box)):
                told = ", ".join(f"{value:g}" for value in box)
                size = f"{sides[0]} x {sides[1]} pixels"
                raise RowError(reasons.BAD_OBJECTS, f"box {number}, [{told}], lies outside its picture of {size}")
        else:
            sides = (1, 1) if objects.scale == "norm1" else (1000, 1000)
        found.append(tuple(min(value / sides[place % 2], 1.0) for place, value in enumerate(box)))
    return found


def named(objects: Objects) -> list[str | None]:
    """The name of each box, as far as numbers tell: one for one; a single one for all; or, where questions have
    names too, the last ones for the boxes of the answer."""
    refs, count = objects.refs, len(objects.boxes)
    if len(refs) == 1:
        return [refs[0]] * count
    return list(refs[len(refs) - count :]) if len(refs) >= count else [None] * count


def pictures_of(sample: Conversation) -> list[Media]:
    """The pictures of a conversation, in order."""
    media = [placed.media for message in sample.messages for placed in message.media]
    return [item for item in media if item.kind == "image"]


def written_ref(ref: str, form: Format) -> str:
    """A name as text."""
    return f"{form.reference[0]}{ref}{form.reference[1]}"


def written_box(share: tuple[float, ...], form: Format, size: Size = (1, 1)) -> str:
    """A box or point as text.

    Args:
        share: As parts of the width and the height, from 0 to 1.
        form: The format.
        size: Width and height of the picture as the model sees it; counts only where the format writes pixels.
    """
    numbers = [form.coordinates.written(value, size[place % 2]) for place, value in enumerate(share)]
    texts = [f"{number:0{form.digits}d}" if isinstance(number, int) else f"{number:.3f}" for number in numbers]
    template = form.box if len(share) == 4 else form.point
    core = template.format(**dict(zip(("x1", "y1", "x2", "y2"), texts, strict=False)))
    return f"{form.around[0]}{core}{form.around[1]}"


def _written(message: Message, refs: Iterator[str], boxes: Iterator[str]) -> Message:
    reasoning = message.reasoning
    if reasoning is not None:
        reasoning, _ = _replaced(reasoning, (), refs, boxes)
    content, media = _replaced(message.content, message.media, refs, boxes)
    return replace(message, reasoning=reasoning, content=content, media=media)


def _replaced(
    text: str, media: tuple[Placed, ...], refs: Iterator[str], boxes: Iterator[str]
) -> tuple[str, tuple[Placed, ...]]:
    """The text with its tags replaced, and the media moved along with the text behind them."""
    made, end = "", 0
    moved: list[Placed] = []
    left = list(media)
    for match in _TAGS.finditer(text):
        moved += [replace(item, at=item.at - end + len(made)) for item in left if item.at <= match.start()]
        left = [item for item in left if item.at > match.start()]
        made += text[end : match.start()]
        value = next(refs if match[0] == REF_TAG else boxes)
        quoted = match[0] == REF_TAG and made.endswith('"') and text[match.end() : match.end() + 1] == '"'
        # Inside a JSON string, a name's own quotes would end it.
        made += json.dumps(value, ensure_ascii=False)[1:-1] if quoted else value
        end = match.end()
    moved += [replace(item, at=item.at - end + len(made)) for item in left]
    return made + text[end:], tuple(moved)


def _picture(pictures: list[Media], image: int) -> Media:
    if image >= len(pictures):
        raise RowError(reasons.BAD_OBJECTS, f"a box is in picture {image} (from 0), and the row has {len(pictures)}")
    return pictures[image]
