"""Places in pictures that answers name: as values for the result file, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swift.chat.codec import Codec
from swift.chat.grounding.parse import parse
from swift.chat.grounding.write import pictures_of
from swift.errors import ConfigError, RowError
from swift.media import load_image
from swift.media.boxes import draw, scaled
from swift.types import Conversation, Spot, Text


def found_in(answer: str, prompt: Conversation | Text, codec: Codec, *, cut: bool = False) -> list[Spot]:
    """The places that an answer names; none where the prompt has no picture.

    They are taken to be in the first picture of the last turn that shows any: answers do not say it.

    Args:
        answer: What the model said.
        prompt: What it was asked; turns of the assistant at its end do not count.
        codec: Knows the format, and how the model sees pictures.
        cut: Whether the answer ends at the length limit.
    """
    image = _shown_last(prompt)
    if image is None or codec.media is None or isinstance(prompt, Text):
        return []
    picture = pictures_of(prompt)[image]
    try:
        size = codec.media.file_size(picture)
        shown = codec.media.shown_size(picture) if codec.grounding.coordinates.steps == 0 else None
    except RowError:
        return []  # the file is gone since the question was asked
    return [replace(spot, image=image) for spot in parse(answer, codec.grounding, size, shown, cut=cut)]


def spots_json(spots: Sequence[Spot]) -> list[dict[str, Any]]:
    """Places as the result file has them: `ref`, `bbox` (or a point) in pixels, and `image_id` unless it is 0."""
    return [
        {
            **({} if spot.ref is None else {"ref": spot.ref}),
            "bbox": [round(value, 1) for value in spot.box],
            **({"image_id": spot.image} if spot.image else {}),
        }
        for spot in spots
    ]


def draw_found(spots: Sequence[Spot], prompt: Conversation | Text, codec: Codec, path: Path) -> bool:
    """Write the picture with the places drawn into it; False where there is nothing to draw.

    Args:
        spots: From `found_in`.
        path: A PNG file, in a folder that is there.

    Raises:
        ConfigError: It cannot be written.
    """
    if not spots or isinstance(prompt, Text) or codec.media is None:
        return False
    picture = pictures_of(prompt)[spots[0].image]
    try:
        size = codec.media.file_size(picture)
        loaded = load_image(picture, codec.media.config)
    except RowError:
        return False  # as above
    try:
        draw(loaded, scaled(spots, size, loaded.size)).save(path)
    except OSError as error:
        raise ConfigError(f"--draw_dir: {path} cannot be written: {error.strerror or error}") from error
    return True


def drawing_folder(draw_dir: str | None) -> Path | None:
    """The folder for drawn pictures, made where it is not there; None where none is wanted.

    Raises:
        ConfigError: It cannot be made.
    """
    if draw_dir is None:
        return None
    folder = Path(draw_dir).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--draw_dir {draw_dir} cannot be made: {error.strerror or error}") from error
    return folder


def _shown_last(prompt: Conversation | Text) -> int | None:
    """The number, among all its pictures, of the first picture of the last turn that shows any."""
    if isinstance(prompt, Text):
        return None
    count, last = 0, None
    messages = list(prompt.messages)
    while messages and messages[-1].role == "assistant":
        messages.pop()
    for message in messages:
        here = sum(placed.media.kind == "image" for placed in message.media)
        last = count if here else last
        count += here
    return last
