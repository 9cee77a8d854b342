"""How sequences become batches of branches that share their beginnings; knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from swift.engines.prefix import common
from swift.engines.tree import Branch
from swift.types import Given


@dataclass(slots=True)
class Branches:
    """One batch.

    Attributes:
        held: Tokens that the cache holds from batches before.
        ids: New tokens, back to back.
        places: The place of each in its sequence.
        branches: The new tokens, a branch for each sequence or piece of one.
        rows: Of which new tokens predictions are wanted, one for each of `numbers`.
        tokens: The token whose probability is wanted.
        numbers: The sequence that wants it.
        done: Sequences that want nothing more.
        hold: Where the tokens are, among held and new ones, that the next batch needs.
    """

    held: int
    ids: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    hold: list[int] = field(default_factory=list)

    def grow(self, sequence: Sequence[int], start: int, end: int, path: list[int]) -> None:
        """Take in tokens `start` to `end` of a sequence whose earlier ones are at `path`; the path grows."""
        begin, count = len(self.ids), end - start
        self.branches.append(Branch(start, begin, count, np.array(path, np.int64)))
        self.ids += sequence[start:end]
        self.places += range(start, end)
        path += range(self.held + begin, self.held + begin + count)

    def want(self, number: int, given: Given, path: Sequence[int], begin: int, end: int) -> None:
        """Want those of a sequence's targets whose prediction stands at tokens `begin` to `end`."""
        for place in given.targets:
            if begin <= place - 1 < end:
                self.rows.append(path[place - 1] - self.held)
                self.tokens.append(given.ids[place])
                self.numbers.append(number)


def batches(
    samples: Sequence[Given], max_tokens: int, wanted: Callable[[int], bool] = lambda number: True
) -> Iterator[Branches]:
    """Batches of at most so many new tokens, in which sequences that begin alike are neighbours.

    Each batch goes on where the one before it ended, in the middle of a sequence where need be. Predictions are
    made of new tokens only: where one is wanted of a token that is held, that token is computed again.

    Args:
        samples: With at least one target each, none of which is the first token.
        wanted: Asked before more of a sequence is computed: whether its results are wanted still.
    """
    inputs = [list(sample.ids[: max(sample.targets)]) for sample in samples]
    order = sorted(range(len(samples)), key=inputs.__getitem__)
    batch, path, before = Branches(0), list[int](), list[int]()
    for number in order:
        if not wanted(number):
            continue
        given, sequence = samples[number], inputs[number]
        shared = common(sequence, before)
        first = min(given.targets) - 1
        if first < shared and path[first] < batch.held:
            shared = first
        path, begin = path[:shared], shared
        batch.want(number, given, path, 0, shared)
        while begin < len(sequence):
            if len(batch.ids) >= max_tokens:
                batch.hold = path
                yield batch
                batch = Branches(len(path))
                path = list(range(len(path)))
                if not wanted(number):
                    break
            end = min(len(sequence), begin + max_tokens - len(batch.ids))
            batch.grow(sequence, begin, end, path)
            batch.want(number, given, path, begin, end)
            begin = end
        else:
            batch.done.append(number)
        before = sequence[:begin]
    if batch.ids:
        yield batch
