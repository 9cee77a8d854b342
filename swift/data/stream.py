"""Rows of data sets that are larger than memory, never counted, in an order that can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from swift.config.data import DataConfig
from swift.data.mix import Stopping, check_weights, generator, picks
from swift.data.rows import BadRow, Source
from swift.data.self_cognition import check_names
from swift.data.source import open_sources
from swift.data.syntax import DatasetRef, parse
from swift.errors import ConfigError, DataError
from swift.types import Row

Item = Row | BadRow
_TURNS = 1 << 20  # keeps these random numbers apart from those of select


def stream_rows(config: DataConfig, *, skip: int = 0) -> Iterator[Item]:
    """Training rows without end, pass after pass: the run's number of steps ends them.

    One pass is every set once, concatenated, or interleaved until one set or all of them are used up. Each
    pass is shuffled anew through a buffer of `config.shuffle_buffer` rows, by seed and pass number. `#n` takes
    the first n rows of a set in a pass, since a sample would need their number.

    Args:
        config: What to take.
        skip: Rows that an earlier run has consumed; the rest follows exactly as it would have.

    Raises:
        DataError: A data set cannot be read, or a pass brought no usable row.
        ConfigError: No data set.
    """
    check_names(config)
    if not config.train:
        raise ConfigError("no data set", hint="name one: --dataset FILE")
    weights = check_weights(config.weights, len(config.train))
    refs = [parse(text) for text in config.train]
    sets = [(ref, open_sources(ref, config)) for ref in refs]
    return islice(_passes(sets, config, weights), skip, None)


def _passes(
    sets: Sequence[tuple[DatasetRef, list[Source]]], config: DataConfig, weights: Sequence[float] | None
) -> Iterator[Item]:
    number = 0
    while True:
        usable = False
        for item in _one_pass(sets, config, weights, number):
            usable = usable or isinstance(item, Row)
            yield item
        if not usable:
            raise DataError("no row of the data sets can be read", hint="see the ledger for each row's reason")
        number += 1


def _one_pass(
    sets: Sequence[tuple[DatasetRef, list[Source]]],
    config: DataConfig,
    weights: Sequence[float] | None,
    number: int,
) -> Iterator[Item]:
    if len(sets) == 1 or (config.mix == "concatenate" and weights is None):
        rows: Iterator[Item] = chain.from_iterable(_rows(ref, sources) for ref, sources in sets)
    else:
        rows = _interleaved(sets, config.stopping, weights, config.seed, number)
    return _shuffled(rows, config.shuffle_buffer, config.seed, number) if config.shuffle else rows


def _rows(ref: DatasetRef, sources: Sequence[Source]) -> Iterator[Item]:
    """The rows of a set; more than it has repeats them."""
    if ref.count is None:
        return chain.from_iterable(source.rows() for source in sources)
    passes = iter(lambda: chain.from_iterable(source.rows() for source in sources), None)
    return islice(chain.from_iterable(passes), ref.count)


def _interleaved(
    sets: Sequence[tuple[DatasetRef, list[Source]]],
    stopping: Stopping,
    weights: Sequence[float] | None,
    seed: int,
    number: int,
) -> Iterator[Item]:
    iterators = [_rows(*one) for one in sets]
    ahead = [next(rows, None) for rows in iterators]  # one row ahead, to see that a set is used up with its last row
    ended: set[int] = set()
    for block in picks(len(sets), weights, generator(seed, _TURNS, number)):
        for chosen in block.tolist():
            item = ahead[chosen]
            if item is None:
                raise DataError(f"{sets[chosen][0].text} holds no rows")
            yield item
            ahead[chosen] = next(iterators[chosen], None)
            if ahead[chosen] is None:
                ended.add(chosen)
                if stopping == "first_exhausted" or len(ended) == len(sets):
                    return
                iterators[chosen] = _rows(*sets[chosen])
                ahead[chosen] = next(iterators[chosen], None)


def _shuffled(rows: Iterator[Item], size: int, seed: int, number: int) -> Iterator[Item]:
    """Each row that comes in pushes a random one of the buffer out; at the end the rest goes out shuffled."""
    draw = random.Random(f"{seed} {number}")
    buffer = list(islice(rows, size))
    for item in rows:
        place = draw.randrange(len(buffer))
        buffer[place], item = item, buffer[place]
        yield item
    draw.shuffle(buffer)
    yield from buffer
