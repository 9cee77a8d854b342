"""Media columns and tags: `<image>`, `<video>`, `<audio>` in the text stand for the files in the columns, in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from swift.data.reasons import MEDIA_COUNT
from swift.data.shapes.parts import media_options
from swift.data.shapes.values import json_value
from swift.errors import RowError
from swift.media import as_media
from swift.types import Conversation, Media, MediaKind, Message, Placed, Text

_COLUMNS: dict[MediaKind, tuple[str, ...]] = {
    "image": ("images", "image"),
    "video": ("videos", "video"),
    "audio": ("audios", "audio"),
}
_TAG = re.compile(r"<(image|video|audio)>")


def place_media(sample: Conversation | Text, values: Mapping[str, Any], folder: str) -> Conversation | Text:
    """The sample with the media of its row in place.

    Tags mean media only in a row that has a column for that kind of media; elsewhere they are text. Where a column
    is filled and nothing says where its media belong, they stand before the first user message.

    Args:
        folder: What relative paths are relative to.

    Raises:
        RowError: `media_count`: more or fewer files than places; or a file that cannot be understood.
    """
    columns = {kind: found for kind in _COLUMNS if (found := _column(values, kind)) is not None}
    if isinstance(sample, Text):
        if not columns:
            return sample
        message = _tagged(Message("user", sample.text), columns)
        (filled,) = _filled([message], columns, media_options(values, "the row"), folder)
        return replace(sample, text=filled.content, media=filled.media)
    if not columns and not any(message.media for message in sample.messages):
        return sample
    messages = [_tagged(message, columns) for message in sample.messages]
    messages = _before_first_question(messages, columns)
    return replace(sample, messages=tuple(_filled(messages, columns, media_options(values, "the row"), folder)))


def _column(values: Mapping[str, Any], kind: MediaKind) -> list[Any] | None:
    """The files of one kind; None where the row has no such column at all."""
    named = [name for name in _COLUMNS[kind] if name in values]
    found: list[Any] = []
    for name in named:
        value = values[name]
        if isinstance(value, str) and value[:1] == "[":
            value = json_value(value, name)  # a table holds a list as text
        if value is None or (isinstance(value, str | list) and not value):
            continue
        # A list is several files, but for a lone video that is given as its frames.
        several = isinstance(value, list | tuple) and not (kind == "video" and name == "video")
        found += value if several else [value]
    return found if named else None


def _tagged(message: Message, columns: Mapping[MediaKind, Sequence[Any]]) -> Message:
    """Tags taken out of the text, and media to be filled in put in their places."""
    matches = [match for match in _TAG.finditer(message.content) if match[1] in columns]
    if not matches:
        return message
    placed = list(message.media)
    text, end = "", 0
    moved: list[Placed] = []
    for match in matches:
        moved += [replace(item, at=item.at - end + len(text)) for item in placed if end <= item.at <= match.start()]
        placed = [item for item in placed if item.at > match.start()]
        text += message.content[end : match.start()]
        moved.append(Placed(len(text), Media(match[1], "")))  # type: ignore[arg-type]
        end = match.end()
    moved += [replace(item, at=item.at - end + len(text)) for item in placed]
    return replace(message, content=text + message.content[end:], media=tuple(moved))


def _before_first_question(messages: list[Message], columns: Mapping[MediaKind, Sequence[Any]]) -> list[Message]:
    """Files of a kind for which the text has no place at all go in front of the first user message."""
    present = {item.media.kind for message in messages for item in message.media}
    homeless = [kind for kind in columns if columns[kind] and kind not in present]
    first = next((number for number, message in enumerate(messages) if message.role == "user"), None)
    if not homeless or first is None:
        return messages
    front = tuple(Placed(0, Media(kind, "")) for kind in homeless for _ in columns[kind])
    changed = replace(messages[first], media=(*front, *messages[first].media))
    return [*messages[:first], changed, *messages[first + 1 :]]


def _filled(
    messages: Sequence[Message], columns: Mapping[MediaKind, Sequence[Any]], options: Mapping[str, float], folder: str
) -> list[Message]:
    """Every place with its file."""
    places = dict.fromkeys(_COLUMNS, 0)
    filled: list[Message] = []
    for message in messages:
        media = []
        for item in message.media:
            medium = item.media
            if medium.source == "":
                kind, number = medium.kind, places[medium.kind]
                places[kind] += 1
                if number >= len(columns.get(kind, ())):
                    raise RowError(MEDIA_COUNT, _count(messages, columns, kind))
                medium = as_media(kind, columns[kind][number], options=medium.options)
            media.append(replace(item, media=replace(medium, folder=folder, options={**options, **medium.options})))
        filled.append(replace(message, media=tuple(media)) if media else message)
    for kind, files in columns.items():
        if places[kind] < len(files):
            raise RowError(MEDIA_COUNT, _count(messages, columns, kind))
    return filled


def _count(messages: Sequence[Message], columns: Mapping[MediaKind, Sequence[Any]], kind: MediaKind) -> str:
    pending = [item for message in messages for item in message.media if item.media.source == ""]
    places = sum(item.media.kind == kind for item in pending)
    return f"{places} place(s) for {kind}s in the text, and {len(columns.get(kind, ()))} in the column"
