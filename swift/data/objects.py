"""The column `objects`: names and boxes of things in pictures, for which tags in the text stand.

    {"ref": ["cat"], "bbox": [[10, 20, 110, 220]], "bbox_type": "real", "image_id": [0]}

As in ms-swift: `<ref-object>` and `<bbox>` stand for the names and boxes in order. A point has two numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from swift.chat.grounding.write import BOX_TAG, REF_TAG, TAGGED_ROLES
from swift.data.reasons import BAD_OBJECTS, OBJECTS_COUNT
from swift.data.shapes.values import json_value, kind
from swift.errors import RowError
from swift.types import BoxScale, Conversation, Objects, Text

COLUMN = "objects"
_KEYS = ("ref", "bbox", "bbox_type", "image_id")
_FILLED_IN = ("width", "height")
"""Keys that ms-swift puts there itself; the pictures say it better."""
_ENDS: Mapping[BoxScale, float] = {"real": math.inf, "norm1": 1.0, "norm1000": 1000.0}
_SLACK: Mapping[BoxScale, float] = {"real": 1.0, "norm1": 0.001, "norm1000": 1.0}
"""By how much a coordinate may be outside: about a pixel, which annotators' rounding makes."""


def place_objects(sample: Conversation | Text, values: Mapping[str, Any], *, answered: bool) -> Conversation | Text:
    """The sample with what its tags stand for; they are text in a row without the column, or with an empty one.

    A column of that name that is something else altogether, in a row without tags, is left alone.

    Args:
        sample: With its media in place.
        values: The row's columns.
        answered: Whether the answer is part of the row, so that every name and box must have its tag; the boxes of
            an answer that is yet to come have none.

    Raises:
        RowError: `bad_objects`: the column cannot be understood; `objects_count`: other numbers of tags than of
            names or boxes.
    """
    column = values.get(COLUMN)
    if isinstance(column, str) and column.strip()[:1] == "{":
        column = json_value(column, COLUMN)
    if column is None or column in ({}, [], ""):
        return sample
    texts = _texts(sample)
    tags = {tag: sum(text.count(tag) for text in texts) for tag in (REF_TAG, BOX_TAG)}
    ours = isinstance(column, Mapping) and ("ref" in column or "bbox" in column)
    if not any(tags.values()) and (not ours or isinstance(sample, Text)):
        return sample
    if isinstance(sample, Text):
        raise RowError(BAD_OBJECTS, "plain text has no objects; give messages, or remove the column")
    objects = read_objects(column)
    _require_pictures(objects, sample)
    for tag, what, count in ((REF_TAG, "names in ref", len(objects.refs)), (BOX_TAG, "boxes", len(objects.boxes))):
        if tags[tag] > count or (answered and tags[tag] < count):
            told = f"{tags[tag]} tag(s) {tag} in the text, and {count} {what} in the column {COLUMN}"
            raise RowError(OBJECTS_COUNT, told)
    return replace(sample, objects=objects)


def _texts(sample: Conversation | Text) -> list[str]:
    """Texts that may have tags, in order."""
    if isinstance(sample, Text):
        return [sample.text]
    spoken = [message for message in sample.messages if message.role in TAGGED_ROLES]
    return [text for message in spoken for text in (message.reasoning, message.content) if text]


def read_objects(column: Any) -> Objects:
    """The column's value, checked as far as it goes without the pictures.

    Raises:
        RowError: `bad_objects`, with what is wrong.
    """
    if not isinstance(column, Mapping):
        raise RowError(BAD_OBJECTS, f"{COLUMN} is {kind(column)}, not an object with {', '.join(_KEYS)}")
    unknown = [str(name) for name in column if name not in (*_KEYS, *_FILLED_IN)]
    if unknown:
        raise RowError(BAD_OBJECTS, f"{COLUMN} has {unknown[0][:40]!r}; known are {', '.join(_KEYS)}")
    said = column.get("bbox_type") or "real"
    scale = next((name for name in _ENDS if name == said), None)
    if scale is None:
        raise RowError(BAD_OBJECTS, f"bbox_type is {str(said)[:40]!r}; it is one of {', '.join(_ENDS)}")
    refs = _list(column, "ref")
    for number, ref in enumerate(refs, 1):
        if not isinstance(ref, str):
            raise RowError(BAD_OBJECTS, f"name {number} in ref is {kind(ref)}, not a text")
    boxes = tuple(_box(value, number, scale) for number, value in enumerate(_list(column, "bbox"), 1))
    images = _list(column, "image_id")
    for number, image in enumerate(images, 1):
        if isinstance(image, bool) or not isinstance(image, int) or image < 0:
            raise RowError(BAD_OBJECTS, f"image_id {number} is {str(image)[:40]}; pictures count from 0")
    if len(images) > len(boxes):
        raise RowError(BAD_OBJECTS, f"{len(images)} values in image_id for {len(boxes)} boxes")
    return Objects(tuple(refs), boxes, scale, (*images, *[0] * (len(boxes) - len(images))))


def _list(column: Mapping[str, Any], name: str) -> list[Any]:
    value = column.get(name)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise RowError(BAD_OBJECTS, f"{name} is {kind(value)}, not a list")
    return list(value)


def _box(value: Any, number: int, scale: BoxScale) -> tuple[float, ...]:
    """A box or point, moved into the picture where it is outside by no more than rounding does."""
    if not isinstance(value, list | tuple):
        raise RowError(BAD_OBJECTS, f"box {number} is {kind(value)}, not a list [x1, y1, x2, y2]")
    if len(value) not in (2, 4) or not all(_is_number(item) for item in value):
        raise RowError(BAD_OBJECTS, f"box {number} is {_shown(value)}; it takes 4 numbers, or 2 for a point")
    if len(value) == 4 and (value[0] > value[2] or value[1] > value[3]):
        raise RowError(BAD_OBJECTS, f"box {number} is {_shown(value)}: x1, y1 must not be greater than x2, y2")
    if min(value) < -_SLACK[scale] or max(value) > _ENDS[scale] + _SLACK[scale]:
        end = "" if scale == "real" else f" to {_ENDS[scale]:g}"
        raise RowError(BAD_OBJECTS, f"box {number} is {_shown(value)}, outside the picture: {scale} counts from 0{end}")
    return tuple(float(min(max(item, 0.0), _ENDS[scale])) for item in value)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def _shown(value: Sequence[Any]) -> str:
    return str(list(value[:5]))[:80]


def _require_pictures(objects: Objects, sample: Conversation) -> None:
    pictures = sum(placed.media.kind == "image" for message in sample.messages for placed in message.media)
    for number, image in enumerate(objects.images, 1):
        if image >= pictures and (pictures or image or objects.scale == "real"):
            raise RowError(BAD_OBJECTS, f"box {number} is in picture {image} (from 0), and the row has {pictures}")
