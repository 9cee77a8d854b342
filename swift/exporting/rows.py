"""Rows for an export: what calibrates, and what is held out to measure by; rendered by the model's own template."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swift.chat.codec import Codec
from swift.chat.encode import encode
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.data.rows import BadRow
from swift.data.select import Selection, select
from swift.errors import DataError, RowError
from swift.exporting.certificate.probes import probes
from swift.types import Conversation, Text, Tokens

_LONGEST = 2048
"""Tokens of a row, unless the user says otherwise."""

_AT_ONCE = 32
"""Each draw goes through the files, so that it is of more than these rows, and twice as many as the one before."""

Place = tuple[int, int]
"""Of a row: the number of its data set, and its own in there."""

Row = Conversation | Text | RowError
Draw = Callable[[int], Sequence[tuple[Place, Row]]]
"""Further rows, so many of them, or all that are left, in the order in which they are to be taken."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that is measured by.

    Attributes:
        row: As it was read.
        tokens: As the source renders it; where a row becomes several sequences, the last.
    """

    row: Conversation | Text
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class ExportRows:
    """Both kinds of rows.

    Attributes:
        calibration: What a method looks at: all of them text, or all with media of the same kinds.
        held_out: What is measured by.
        own: Whether the held-out rows are the user's; else they are ours.
        seen: How many of the held-out rows calibrate, too.
    """

    calibration: tuple[Tokens, ...]
    held_out: tuple[Sample, ...]
    own: bool
    seen: int = 0

    @property
    def about(self) -> str:
        """What is measured by, in words."""
        whose = "held out by the user" if self.own else "which come with swift"
        seen = f", of which {self.seen} calibrated it, too" if self.seen else ""
        return f"{len(self.held_out)} rows, {whose}{seen}"


def capped(chat: ChatConfig) -> ChatConfig:
    """The same, with a limit on a row's tokens."""
    return chat if chat.max_length is not None else chat.model_copy(update={"max_length": _LONGEST})


def export_rows(data: DataConfig, chat: ChatConfig, codec: Codec, *, calibrate: int, measure: int) -> ExportRows:
    """Choose and render.

    Args:
        data: `train` calibrates; `validation`, or what `split_ratio` sets aside, is held out.
        chat: How rows are rendered.
        codec: The source's.
        calibrate: Rows to calibrate with; 0 for none.
        measure: Rows to measure by; 0 for none.

    Raises:
        DataError: A data set cannot be read, or no row of it can be used.
    """
    if not data.train and not data.validation:
        return ExportRows((), _ours(codec, chat, measure), own=False)
    selection = select(data.model_copy(update={"streaming": False}))
    train = _usable(_drawn(selection, selection.train, data), codec, chat, calibrate, media=True)
    if calibrate and not train:
        raise DataError("no row can be calibrated with", hint="swift check shows what happens to each row")
    if not len(selection.validation):
        return ExportRows(_alike([sample.tokens for sample in train]), _ours(codec, chat, measure), own=False)
    held_out = _usable(_drawn(selection, selection.validation, data), codec, chat, measure)
    if measure and not held_out:
        raise DataError("no held-out row can be used", hint="swift check shows what happens to each row")
    calibration = _alike([sample.tokens for sample in train])
    known = {row.ids.tobytes() for row in calibration}
    seen = sum(sample.tokens.ids.tobytes() in known for sample in held_out)
    if seen:
        sys.stderr.write(f"warning: {seen} of {len(held_out)} held-out rows calibrate, too: they flatter the result\n")
    return ExportRows(calibration, held_out, own=True, seen=seen)


def _ours(codec: Codec, chat: ChatConfig, most: int) -> tuple[Sample, ...]:
    """The conversations that come with swift."""
    rows = [((0, number), row) for number, row in enumerate(probes(codec))]
    return _usable(lambda count: rows, codec, chat, most)


def _drawn(selection: Selection, numbers: NDArray[np.int64], data: DataConfig) -> Draw:
    """Draws from the rows at random, the same each time."""
    unique = [(int(source), int(row)) for source, row in np.unique(numbers, axis=0)]
    order = iter(np.random.default_rng(data.seed).permutation(len(unique)))

    def draw(count: int) -> Sequence[tuple[Place, Row]]:
        places = [unique[number] for number in islice(order, count)]
        read = dict(_read_rows(selection, places, data))
        return [(place, read[place]) for place in places]

    return draw


def _read_rows(selection: Selection, places: Iterable[Place], data: DataConfig) -> Iterator[tuple[Place, Row]]:
    """Rows in the order of the files, each of which is gone through once."""
    places = set(places)
    for number, source in enumerate(selection.sources):
        wanted = {row for of, row in places if of == number}
        for row, values in enumerate(source.rows() if wanted else ()):
            if row in wanted:
                wanted.discard(row)
                yield (number, row), _read(values, data)
            if not wanted:
                break


def _read(row: Any, data: DataConfig) -> Row:
    try:
        return RowError(row.reason, row.detail) if isinstance(row, BadRow) else to_sample(row, data, "sft")
    except RowError as error:
        return error


def _alike(rows: Sequence[Tokens]) -> tuple[Tokens, ...]:
    """Those with the kinds of media that most have: a way through the model is laid out for one of them."""
    if not rows:
        return ()
    kinds = [
        frozenset(media.kind for media in row.shown.media) if row.shown is not None else frozenset() for row in rows
    ]
    most, count = Counter(kinds).most_common(1)[0]
    if count < len(rows):
        named = " and ".join(sorted(most)) or "text alone"
        sys.stderr.write(f"note: {len(rows) - count} rows do not calibrate, since {count} others have {named}\n")
    return tuple(row for row, kind in zip(rows, kinds, strict=True) if kind == most)


def _usable(draw: Draw, codec: Codec, chat: ChatConfig, most: int, *, media: bool = False) -> tuple[Sample, ...]:
    """Up to `most` rows that can be used, in the order of the files; those with media only where asked for.

    As many rows are drawn as it takes, and taken as they were drawn: who would take them in the order of the files
    would prefer the first ones. How many cannot be used, and why the first, is told.
    """
    found: dict[Place, Sample] = {}
    left: list[RowError] = []
    count = _AT_ONCE
    while len(found) < most:
        count = max(2 * count, most - len(found))
        drawn = draw(count)
        for place, row in drawn:
            try:
                found[place] = _sample(row, codec, chat, media=media)
            except RowError as error:
                left.append(error)
            if len(found) == most:
                break
        if len(drawn) < count:
            break
    if left:
        sys.stderr.write(f"note: {len(left)} rows are left out; the first: {left[0]}\n")
    return tuple(found[place] for place in sorted(found))


def _sample(row: Row, codec: Codec, chat: ChatConfig, *, media: bool) -> Sample:
    if isinstance(row, RowError):
        raise row
    tokens = encode(row, codec, chat).sequences[-1]
    if tokens.shown is not None and not media:
        raise RowError("media", "rows with pictures, videos or sounds are not measured by")
    return Sample(row, tokens)
