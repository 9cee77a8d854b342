"""Token ids with what of them is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.spans import Turn
from swift.errors import RowError
from swift.types import Illustrated


@dataclass(frozen=True, slots=True)
class Target:
    """Tokens `start` to `end` (exclusive) are trained on.

    Attributes:
        weight: Of the whole turn.
        index: The message's number.
        scale: Multiplies the weight of these tokens; a turn whose text is weighed has several targets.
    """

    start: int
    end: int
    weight: float
    index: int
    scale: float = 1.0

    @property
    def value(self) -> float:
        """What the loss of these tokens is multiplied by."""
        return self.weight * self.scale


@dataclass(frozen=True, slots=True)
class TokenSpans:
    """One sequence of ids and what of it is trained on.

    Attributes:
        ids: Token ids.
        targets: Trained spans, in order.
        prompt_weight: Weight of every other token; 0 unless everything is trained on.
        text: The text that the ids were made of.
        tail: How many ids at the end were made of other text, which follows.
        inserted: Places of tokens that media made; never trained on.
        shown: What a processor made the ids of, where there are media.
    """

    ids: list[int]
    targets: tuple[Target, ...]
    prompt_weight: float = 0.0
    text: str = ""
    tail: int = 0
    inserted: tuple[int, ...] = ()
    shown: Illustrated | None = None

    def window(self, start: int, end: int) -> TokenSpans:
        """Tokens `start` to `end`, with what is left of the targets. Not to be cut through media."""
        cut = (
            replace(target, start=max(target.start, start) - start, end=min(target.end, end) - start)
            for target in self.targets
        )
        return replace(self, ids=self.ids[start:end], targets=tuple(t for t in cut if t.end > max(t.start, 0)))

    def behind(self, ids: list[int]) -> TokenSpans:
        """The same with `ids` in front."""
        moved = (replace(t, start=t.start + len(ids), end=t.end + len(ids)) for t in self.targets)
        return replace(self, ids=[*ids, *self.ids], targets=tuple(moved))


def scaled(sequence: TokenSpans, turns: Mapping[int, Turn], codec: Codec) -> TokenSpans:
    """The sequence with the weights within its turns: a target for each run of tokens of one weight.

    A token has the weight of its first character that is not white space.

    Args:
        sequence: One target a turn.
        turns: By their message's number.
        codec: The model's codec.

    Raises:
        RowError: Its tokens cannot be traced to their text.
    """
    text, first = sequence.text, 0
    if sequence.tail:  # these ids were made of the last turn's span alone, behind an anchor where there is one
        span = turns[sequence.targets[-1].index].span
        behind = codec.anchor is not None and codec.encode(codec.anchor[0] + span)[:1] == [codec.anchor[1]]
        text, first = (f"{codec.anchor[0]}{span}", 1) if behind and codec.anchor is not None else (span, 0)
    encoding = codec.tokenizer.encode(text, add_special_tokens=False)
    targets: list[Target] = []
    for target in sequence.targets:
        turn = turns[target.index]
        start = first if sequence.tail else target.start
        count = target.end - target.start
        if encoding.ids[start : start + count] != sequence.ids[target.start : target.end]:
            raise RowError(
                reasons.NOT_DECODABLE, f"message {target.index + 1}: its tokens cannot be traced to its text"
            )
        before = len(text) - len(turn.span) if sequence.tail else len(turn.prompt)
        places = [_place(text, place) - before for place in encoding.offsets[start : start + count]]
        targets.extend(_runs(target, sequence, turn, places, codec) if turn.scales else [target])
    return replace(sequence, targets=tuple(targets))


def _place(text: str, offsets: tuple[int, int]) -> int:
    """The character that stands for a token: its first that is not white space."""
    start, end = offsets
    space = end - start - len(text[start:end].lstrip())
    return start + space if start + space < end else start


def _runs(target: Target, sequence: TokenSpans, turn: Turn, places: list[int], codec: Codec) -> Iterator[Target]:
    weights = [1.0] * len(turn.span)
    for start, end, weight in turn.scales:
        weights[start:end] = [weight] * (end - start)
    media = codec.media.ids if codec.media is not None else frozenset()
    found: list[float] = []
    for number, place in enumerate(places, target.start):
        # What a medium's tokens are is settled later; they are part of the run that they stand in.
        own = weights[min(max(place, 0), len(weights) - 1)]
        found.append(found[-1] if found and sequence.ids[number] in media else own)
    start = target.start
    for scale, run in groupby(found):
        end = start + len(list(run))
        yield replace(target, start=start, end=end, scale=scale)
        start = end
