"""Rows, and what becomes of them on the way to a training sample: Row -> Conversation | Text -> Tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row came from, so that messages and ledgers can name it.

    Attributes:
        source: The file or data set, as the user wrote it.
        index: 1-based row number within the source (for JSONL and text: the line number).
    """

    source: str
    index: int

    def __str__(self) -> str:
        return f"row {self.index} of {self.source}"


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row: plain Python values as the file gave them, never pushed through a table type.

    Attributes:
        folder: Where its file lies: what paths in it are relative to. Empty is the working folder.
    """

    values: Mapping[str, Any]
    origin: Origin
    folder: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the assistant wants called. `arguments` is a decoded JSON value, usually a mapping."""

    name: str
    arguments: Any
    id: str | None = None


MediaKind = Literal["image", "video", "audio"]


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, video or sound as a row names it: not loaded yet.

    Attributes:
        kind: What it is.
        source: A path, `file://`, http(s) or data URL; or the bytes of an encoded file; or, for a video, a folder of
            frames (as a path) or the frames themselves, each a path, URL or bytes.
        folder: What relative paths are relative to where no media root is configured; empty is the working folder.
        options: The row's own limits, by the names of `MediaConfig` (`max_pixels`, `min_pixels`, `fps`,
            `min_frames`, `max_frames`), and `start` and `end` of a clip in seconds.
    """

    kind: MediaKind
    source: str | bytes | tuple[str | bytes, ...]
    folder: str = ""
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """A medium in a message: it stands before the text's character number `at` (at its length: behind the text)."""

    at: int
    media: Media


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: Who speaks.
        content: The text without the media; may be empty where there are tool calls or media.
        reasoning: The thinking text of an assistant turn, without tags; None where none was given.
        tool_calls: Functions that an assistant turn calls.
        name: The function's name on a tool turn.
        tool_call_id: Which call a tool turn answers.
        loss_weight: Weight of this turn's tokens in the loss; None means the run's rule decides,
            0 means never trained on.
        media: What is shown or played in this turn, in order.
        results: A turn of the user that holds what functions gave back, and so asks nothing new.
    """

    role: Role
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    tool_call_id: str | None = None
    loss_weight: float | None = None
    media: tuple[Placed, ...] = ()
    results: bool = False

    @property
    def parts(self) -> tuple[str | Media, ...]:
        """Texts and media in their order, without empty texts."""
        found: list[str | Media] = []
        begin = 0
        for placed in self.media:
            found += [self.content[begin : placed.at], placed.media]
            begin = placed.at
        return tuple(part for part in (*found, self.content[begin:]) if part != "")


BoxScale = Literal["real", "norm1", "norm1000"]


@dataclass(frozen=True, slots=True)
class Objects:
    """Things in a row's pictures, for which the tags `<ref-object>` and `<bbox>` stand in its text, in order.

    Attributes:
        refs: What they are called, one for each `<ref-object>`.
        boxes: One for each `<bbox>`: a box (x1, y1, x2, y2), x1 <= x2 and y1 <= y2, or a point (x, y).
        scale: What coordinates are counted in. real: pixels of the picture as its file has it, upright; norm1 and
            norm1000: the whole width or height is 1 or 1000.
        images: For each box: which of the row's pictures it is in, from 0.
    """

    refs: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    scale: BoxScale = "real"
    images: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a picture.

    Attributes:
        box: A box (x1, y1, x2, y2) or a point (x, y), in pixels of the upright picture.
        ref: What is there; None where that is not said.
        image: In which of several pictures, from 0.
    """

    box: tuple[float, ...]
    ref: str | None = None
    image: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat, ready to be rendered by a model's template.

    Attributes:
        messages: At least one turn.
        origin: The row it came from.
        tools: Function schemas offered to the model (OpenAI form), or none.
        template_kwargs: Extra variables for the chat template, such as `enable_thinking`.
        weight: Multiplies the loss of every token of this row.
        objects: What the tags in its text stand for; None where they are text.
    """

    messages: tuple[Message, ...]
    origin: Origin
    tools: tuple[Mapping[str, Any], ...] = ()
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    objects: Objects | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text for continued pre-training: every token is a target. Media in it are shown, not learned."""

    text: str
    origin: Origin
    weight: float = 1.0
    media: tuple[Placed, ...] = ()


@dataclass(frozen=True, slots=True)
class Illustrated:
    """What a processor is given to make a sequence.

    Attributes:
        text: With a placeholder for each medium.
        media: What the placeholders stand for, in order.
        identity: Hash that tells whether the media's files are still the same.
    """

    text: str
    media: tuple[Media, ...]
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the model is trained on: one sequence.

    Attributes:
        ids: int32 [length], token ids.
        weights: float32 [length]. `weights[i]` multiplies the loss of predicting `ids[i]`; 0 means not a
            target. `weights[0]` is always 0, since nothing predicts the first token.
        origin: The row it came from.
        part: Which of the row's sequences this is (a row may be split), from 0.
        shown: Where the sequence has media: what the processor made it of. Its ids begin with those of the
            processor, or the processor's begin with its.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    origin: Origin
    part: int = 0
    shown: Illustrated | None = None

    def __len__(self) -> int:
        return len(self.ids)


Outcome = Literal["kept", "truncated", "split", "dropped", "failed"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What became of one row that was not simply kept.

    Attributes:
        origin: The row.
        outcome: What happened.
        reason: A short constant by which rows are counted, such as `too_long`.
        detail: One line for this row.
    """

    origin: Origin
    outcome: Outcome
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model's family, to be used or told where the model's own files do not say it.

    Attributes:
        template: Name of a fallback template that suits it, where it has none of its own; or empty.
        grounding: Name of the format in which it writes boxes; or empty.
        tools: Name of the format in which it calls functions; or empty.
    """

    template: str = ""
    grounding: str = ""
    tools: str = ""


NOTHING_KNOWN = Known()
