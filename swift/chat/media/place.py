"""Where the tokens of a text stand once its media are expanded, so that masks made on the text hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.media.processor import MediaProcessor
from swift.chat.targets import Target, TokenSpans
from swift.errors import RowError
from swift.types import Conversation, Illustrated, Media, Message, Text


def media_of(messages: Sequence[Message]) -> tuple[Media, ...]:
    """The media of some messages, in order."""
    return tuple(placed.media for message in messages for placed in message.media)


def require_processor(codec: Codec, media: Sequence[Media]) -> MediaProcessor:
    """The codec's processor.

    Raises:
        RowError: The model takes text only.
    """
    if codec.media is None:
        raise RowError(reasons.MEDIA_UNSUPPORTED, f"the model takes text only, and the row has media ({media[0].kind})")
    return codec.media


def require_media(sample: Conversation, codec: Codec) -> None:
    """Make sure that the model takes what a conversation shows, before a template is asked to place it.

    Raises:
        RowError: It does not.
    """
    for media in media_of(sample.messages):
        require_processor(codec, [media]).require_kind(media)


def require_takes(codec: Codec, media: Media) -> None:
    """Make sure that the model takes a medium, and that it can be read.

    Raises:
        RowError: It is of a kind that the model does not take, or its file is not there.
    """
    processor = require_processor(codec, [media])
    processor.require_kind(media)
    processor.identity([media])


def illustrated(spans: TokenSpans, media: tuple[Media, ...], codec: Codec) -> TokenSpans:
    """A sequence with its media expanded, exactly as the model's processor does it.

    Args:
        spans: Tokens of the text with placeholders, and what of it is trained on.
        media: What the placeholders stand for, in order.

    Raises:
        RowError: A medium cannot be used; or the trained tokens are not the same in the expanded text.
    """
    processor = require_processor(codec, media)
    shown = Illustrated(spans.text, media, processor.identity(media))
    made = processor(shown)
    head = spans.ids[: len(spans.ids) - spans.tail]
    places = matched(head, made.ids, processor.ids)
    if spans.tail:
        # The last turn's tokens follow the processor's, which are those of the prompt.
        ids = made.ids + spans.ids[len(head) :]
        moved = len(made.ids) - len(head)
        targets = tuple(replace(t, start=t.start + moved, end=t.end + moved) for t in spans.targets)
    else:
        targets = tuple(_target(target, spans.ids, places, made.ids, codec) for target in spans.targets)
        ids = made.ids[: targets[-1].end]
    plain = set(places)
    inserted = tuple(number for number in range(min(len(ids), len(made.ids))) if number not in plain)
    return replace(spans, ids=ids, targets=targets, inserted=inserted, shown=shown)


def illustrated_text(sample: Text, codec: Codec) -> tuple[list[int], tuple[int, ...], Illustrated]:
    """Ids of a plain text with media, which of them the media made, and what the processor was given.

    Raises:
        RowError: A medium cannot be used.
    """
    media = tuple(placed.media for placed in sample.media)
    processor = require_processor(codec, media)
    written, begin = "", 0
    for placed in sample.media:
        written += sample.text[begin : placed.at] + processor.tokens.get(placed.media.kind, "")
        begin = placed.at
    shown = Illustrated(written + sample.text[begin:], media, processor.identity(media))
    made = processor(shown)
    ids = made.ids[:-1] if made.ids and made.ids[-1] in codec.eos_ids else made.ids
    plain = set(matched(codec.encode_text(shown.text), ids, processor.ids))
    return ids, tuple(number for number in range(len(ids)) if number not in plain), shown


def matched(plain: Sequence[int], expanded: Sequence[int], media: frozenset[int]) -> list[int]:
    """The place in `expanded` of each token of `plain`; -1 for one that is not there.

    Both are the same text, but for what stands where a medium does: its tokens, marks around and between them, and
    white space that was tokenized together with them.
    """
    left = [number for number, token in enumerate(plain) if token not in media]
    right = [number for number, token in enumerate(expanded) if token not in media]
    one, other = [plain[number] for number in left], [expanded[number] for number in right]
    places = [-1] * len(plain)
    if one == other[: len(one)]:
        blocks = [(0, 0, len(one))]
    else:
        found_blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
        blocks = [(block.a, block.b, block.size) for block in found_blocks]
    for begin, found, size in blocks:
        for step in range(size):
            places[left[begin + step]] = right[found + step]
    return places


def _target(target: Target, ids: Sequence[int], places: Sequence[int], expanded: Sequence[int], codec: Codec) -> Target:
    """A trained span's place in the expanded ids; proved to be the same tokens, up to the same stop token.

    Raises:
        RowError: It is not there as a whole.
    """
    assert codec.media is not None
    at = [places[n] for n in range(target.start, target.end) if ids[n] not in codec.media.ids]
    end = at[-1] + 1 if at else 0
    whole = bool(at) and min(at) >= 0 and at == sorted(at)
    shows = any(ids[n] in codec.media.ids for n in range(target.start, target.end))
    if not shows:
        whole = whole and list(expanded[at[0] : end]) == list(ids[target.start : target.end])
    # Stop tokens come in the same order in both, so that a repeated answer cannot be taken for another.
    stops = [n for n in range(target.end) if ids[n] in codec.eos_ids]
    skipped = 1 if expanded[0] in codec.eos_ids and ids[0] != expanded[0] else 0
    found = [n for n in range(end) if expanded[n] in codec.eos_ids]
    if not whole or len(stops) != len(found) - skipped:
        raise RowError(
            reasons.MEDIA_REFUSED, f"message {target.index + 1}: its tokens are others beside the expanded media"
        )
    return replace(target, start=at[0], end=end)
