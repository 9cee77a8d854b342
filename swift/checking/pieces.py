"""A sequence as people read it: text for every token, and whose turn it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from swift.chat.codec import Codec
from swift.chat.messages import prepare
from swift.checking.findings import Piece, Sample, TurnPieces
from swift.config.chat import ChatConfig
from swift.types import Conversation, Message, Text, Tokens

_CONTEXT = 4  # tokens before a token that may decide how it is decoded, such as whether it keeps its leading space
_LONGEST_CHARACTER = 12  # tokens; an emoji sequence in bytes
_UNFINISHED = "\ufffd"


def sample_of(tokens: Tokens, parts: int, sample: Conversation | Text, codec: Codec, options: ChatConfig) -> Sample:
    """Everything to be shown of one sequence.

    Args:
        parts: Sequences of this row.
        sample: What the row says.
    """
    pieces = list(pieces_of(tokens, codec))
    if isinstance(sample, Text):
        turns: tuple[TurnPieces, ...] = (TurnPieces("text", 1, tuple(pieces)),)
    else:
        messages = prepare(sample, codec, options).messages
        numbers = _turn_numbers(pieces, messages, codec.stops)
        groups = groupby(zip(numbers, pieces, strict=True), key=lambda pair: pair[0])
        turns = tuple(
            TurnPieces(messages[number].role, number + 1, tuple(piece for _, piece in group))
            for number, group in groups
        )
    trained = int((tokens.weights > 0).sum())
    return Sample(tokens.origin, tokens.part + 1, parts, len(tokens), trained, turns)


def pieces_of(tokens: Tokens, codec: Codec) -> Iterator[Piece]:
    """The text of every token; tokens that only together make a character, and are trained alike, come together."""
    ids, weights = tokens.ids.tolist(), tokens.weights.tolist()
    start = 0
    for end in range(1, len(ids) + 1):
        text = _text(ids, start, end, codec)
        complete = not text.endswith(_UNFINISHED) or end - start >= _LONGEST_CHARACTER
        if complete or end == len(ids) or weights[end] != weights[start]:
            yield Piece(text, tuple(ids[start:end]), weights[start])
            start = end


def _text(ids: list[int], start: int, end: int, codec: Codec) -> str:
    """Text of tokens `start` to `end`, as it stands behind the tokens before them."""
    context = max(start - _CONTEXT, 0)
    before, after = codec.decode(ids[context:start]), codec.decode(ids[context:end])
    return after[len(before) :] if after.startswith(before) else codec.decode(ids[start:end])


def _turn_numbers(pieces: Sequence[Piece], messages: Sequence[Message], stops: Sequence[str]) -> list[int]:
    """The message, from 0, of each piece.

    A turn ends behind its text, the stop token that follows, and white space behind that; what the template writes
    from there on belongs to the next turn. Turns whose text is not shown, such as those that were truncated, get no
    piece.
    """
    text = "".join(piece.text for piece in pieces)
    ends: list[tuple[int, int]] = []
    cursor = 0
    for number, message in enumerate(messages):
        said = message.content.strip()
        place = text.find(said, cursor) if said else -1
        if place >= 0:
            cursor = _behind_stop(text, place + len(said), stops)
            ends.append((cursor, number))
    assistants = [number for number, message in enumerate(messages) if message.role == "assistant"]
    numbers, at, turn = [], 0, 0
    for piece in pieces:
        while turn < len(ends) and ends[turn][0] <= at:
            turn += 1
        number = ends[turn][1] if turn < len(ends) else len(messages) - 1
        if piece.weight and number not in assistants and assistants:
            # A turn without text of its own, such as a tool call: the last assistant turn up to here.
            number = max((n for n in assistants if n <= number), default=assistants[0])
        numbers.append(number)
        at += len(piece.text)
    return numbers


def _behind_stop(text: str, end: int, stops: Sequence[str]) -> int:
    gap = len(text[end:]) - len(text[end:].lstrip())
    stop = next((stop for stop in stops if text.startswith(stop, end + gap)), None)
    if stop is None:
        return end
    end += gap + len(stop)
    return end + len(text[end:]) - len(text[end:].lstrip())
