"""Chains of turns as token ids with loss weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenizers import Encoding

from swift.chat import reasons
from swift.chat.codec import Codec, segment_ids
from swift.chat.spans import Turn
from swift.chat.targets import Target, TokenSpans, scaled
from swift.errors import RowError
from swift.types import Message

_CACHED_SEGMENT = 256  # characters; longer ones do not repeat
_LOOK_AHEAD = 16  # characters; a token's offsets may leave out white space at its start


def tokenize_chain(
    chain: Sequence[Turn], codec: Codec, messages: Sequence[Message], *, apart: bool = False
) -> list[TokenSpans]:
    """Tokens of a chain: one sequence, where its token boundaries are those of inference.

    The text is encoded once. A turn is taken from it only if the ids before the turn are proved to be what
    inference gets for the turn's prompt. A turn that fails this (its first token would reach back into the prompt)
    becomes a sequence of its own: the prompt's ids, then the ids of what follows.

    Args:
        chain: Its turns.
        codec: The model's codec.
        messages: Of the conversation.
        apart: Treat every turn as one that failed.

    Raises:
        RowError: The tokens of a span do not decode to what was said, or its stop is not one token.
    """
    text = chain[-1].text
    try:
        ids, places = _by_segments(chain, text, codec) if codec.added is not None else _by_offsets(chain, text, codec)
    except (UnicodeEncodeError, TypeError) as error:
        raise RowError(reasons.NOT_DECODABLE, f"the text is not valid Unicode: {error}") from error
    targets: list[Target] = []
    pieces: list[TokenSpans] = []
    for turn, place in zip(chain, places, strict=True):
        if place is None or apart:
            pieces.append(_in_pieces(turn, codec))
        else:
            targets.append(Target(*place, turn.weight, turn.index))
    found = [TokenSpans(ids[: targets[-1].end], tuple(targets), text=text)] if targets else []
    for sequence in [*found, *pieces]:
        _require_decodable(sequence, codec, messages)
    if not any(turn.scales for turn in chain):
        return [*found, *pieces]
    turns = {turn.index: turn for turn in chain}
    return [scaled(sequence, turns, codec) for sequence in [*found, *pieces]]


Place = tuple[int, int]
"""First token of a span, and the token behind its stop."""


def _by_segments(chain: Sequence[Turn], text: str, codec: Codec) -> tuple[list[int], list[Place | None]]:
    """Ids of `text`, and each turn's place, where text between added tokens is tokenized by itself.

    Segments that repeat from row to row (system messages, tools, role names) are tokenized once and remembered.
    """
    assert codec.added is not None
    edges = [(len(turn.prompt), len(turn.text)) for turn in chain]
    ids: list[int] = []
    places: list[Place | None] = []
    at = start = 0  # where the segment begins in the text; where the turn's span begins among the ids
    found = False
    for number, piece in enumerate(codec.added.split(text)):
        end = at + len(piece)
        edge = edges[len(places)] if len(places) < len(edges) else (len(text) + 1, 0)
        if number % 2:
            ids.append(codec.number_of[piece])
            if end == edge[1]:
                places.append((start, len(ids)) if found and ids[-1] in codec.eos_ids else None)
                found = False
        elif piece:
            before = len(ids)
            ids.extend(_segment(codec, piece, answer=at < edge[1] and end > edge[0]))
            if at < edge[0] < end:
                head = segment_ids(codec, piece[: edge[0] - at])
                found, start = tuple(ids[before : before + len(head)]) == head, before + len(head)
        if end == edge[0]:
            found, start = True, len(ids)
        at = end
    return ids, places + [None] * (len(chain) - len(places))


def _remembered(text: str, codec: Codec) -> list[int]:
    """Ids of a prompt, much of which other sequences have too."""
    if codec.added is None:
        return codec.encode(text)
    ids: list[int] = []
    for number, piece in enumerate(codec.added.split(text)):
        ids.extend((codec.number_of[piece],) if number % 2 else segment_ids(codec, piece))
    return ids


def _segment(codec: Codec, text: str, *, answer: bool) -> Sequence[int]:
    return codec.encode_batch([text])[0] if answer else segment_ids(codec, text)


def _by_offsets(chain: Sequence[Turn], text: str, codec: Codec) -> tuple[list[int], list[Place | None]]:
    """Ids of `text`, and each turn's place, by the places of tokens in the text."""
    encoding = codec.tokenizer.encode(text, add_special_tokens=False)
    ids: list[int] = encoding.ids
    places: list[Place | None] = []
    for turn in chain:
        start = _boundary(encoding, ids, text, len(turn.prompt), codec)
        stop = encoding.char_to_token(len(turn.text) - 1)
        sound = start is not None and stop is not None and ids[stop] in codec.eos_ids
        places.append((start, stop + 1) if sound and start is not None and stop is not None else None)
    return ids, places


def _boundary(encoding: Encoding, ids: list[int], text: str, start: int, codec: Codec) -> int | None:
    """The token at which a span begins, if the ids before it are those of the text before it; else None.

    Text between added tokens is tokenized by itself, so only what stands between the last added token and the span
    needs to be compared.
    """
    for candidate in _candidates(encoding, start):
        last = next((number for number in range(candidate - 1, -1, -1) if ids[number] in codec.added_ids), None)
        place = encoding.token_to_chars(last) if last is not None else None
        segment = text[place[0] : start] if place is not None else text[:start]
        expected = segment_ids(codec, segment) if len(segment) < _CACHED_SEGMENT else tuple(codec.encode(segment))
        if tuple(ids[last or 0 : candidate]) == expected:
            return candidate
    return None


def _candidates(encoding: Encoding, start: int) -> Iterator[int]:
    for place in range(start, start + _LOOK_AHEAD):
        number = encoding.char_to_token(place)
        if number is not None:
            yield number
            yield number + 1
            return


def _in_pieces(turn: Turn, codec: Codec) -> TokenSpans:
    prompt, span = _remembered(turn.prompt, codec), codec.encode_middle(turn.span)
    if not span or span[-1] not in codec.eos_ids:
        raise RowError(reasons.NO_STOP, f"message {turn.index + 1}: the stop is not a token of its own")
    target = Target(len(prompt), len(prompt) + len(span), turn.weight, turn.index)
    return TokenSpans(prompt + span, (target,), text=turn.prompt, tail=len(span))


def _require_decodable(sequence: TokenSpans, codec: Codec, messages: Sequence[Message]) -> None:
    for target in sequence.targets:
        said = messages[target.index]
        for piece in (said.content.strip(), (said.reasoning or "").strip()):
            if piece and not codec.keeps(piece, sequence.ids[target.start : target.end]):
                raise RowError(reasons.NOT_DECODABLE, f"message {target.index + 1}: its tokens decode to another text")
