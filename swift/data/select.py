"""Which rows are trained on and validated with, by number: nothing but counts is read, whatever the size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from swift.config.data import DataConfig
from swift.data.deduplicate import unique_rows
from swift.data.ledger import Ledger
from swift.data.mix import check_weights, generator, interleave, sample, set_aside
from swift.data.rows import Source
from swift.data.self_cognition import check_names
from swift.data.source import open_sources
from swift.data.syntax import DatasetRef, parse
from swift.errors import ConfigError, DataError

# Purposes of random numbers; each is independent of the others.
_SAMPLE, _SPLIT, _MIX, _ORDER = range(4)


@dataclass(frozen=True)
class Selection:
    """The rows of a run.

    Attributes:
        sources: All sources, of training, then of validation.
        train: int64 [n, 2]: source number and row number (from 0), in the order of concatenation or
            interleaving, before any shuffling by epoch. A row may stand several times.
        validation: The same for validation. Empty where there is none.
    """

    sources: tuple[Source, ...]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class _Set:
    """One entry of `--dataset`: its sources, and its rows as [n, 2] before sampling."""

    ref: DatasetRef
    rows: NDArray[np.int64]


def select(config: DataConfig, ledger: Ledger | None = None) -> Selection:
    """Choose the rows of a run. Equal configuration and files give equal selections.

    With streaming, training rows are not chosen or counted here (`swift.data.stream`): `train` is empty.

    Args:
        config: What to take.
        ledger: Gets the duplicates, where they are left out.

    Raises:
        DataError: A data set cannot be read, or nothing is left to train on.
        ConfigError: Options that do not go together.
        HubError: A download failed.
    """
    check_names(config)
    _check(config)
    sources: list[Source] = []
    opened = _open(config.train, config, sources)
    if config.streaming:
        train = validation = _none()
    else:
        train, validation = _train(_listed(opened, config.deduplicate, ledger), config)
        if config.train and not len(train):
            raise DataError("no row is left to train on", hint="give more rows, or a smaller split_dataset_ratio")
    opened = _open(config.validation, config, sources)
    asked = [
        _sampled(one, config.seed, len(config.train) + number)
        for number, one in enumerate(_listed(opened, False, None))
    ]
    return Selection(tuple(sources), train, np.concatenate([validation, *asked]))


def _check(config: DataConfig) -> None:
    if not config.train and not config.validation:
        raise ConfigError("no data set", hint="name one: --dataset FILE, or --dataset self-cognition")
    check_weights(config.weights, len(config.train))
    if config.streaming and config.split_ratio > 0:
        raise ConfigError("split_dataset_ratio needs to know all rows, and streaming does not", hint="use val_dataset")
    if config.streaming and config.deduplicate:
        raise ConfigError("deduplicate needs to know all rows, and streaming does not", hint="leave one out")


def _open(
    entries: Sequence[str], config: DataConfig, sources: list[Source]
) -> list[tuple[DatasetRef, int, list[Source]]]:
    """(entry, number of its first source, its sources) of each; the sources are appended to `sources`."""
    found = []
    for text in entries:
        ref = parse(text)
        group = open_sources(ref, config)
        found.append((ref, len(sources), group))
        sources += group
    return found


def _listed(
    opened: Sequence[tuple[DatasetRef, int, list[Source]]], deduplicate: bool, ledger: Ledger | None
) -> list[_Set]:
    """Each set's rows."""
    flat = [source for _, _, group in opened for source in group]
    if deduplicate:
        numbers = unique_rows(flat, ledger)
    else:
        numbers = [np.arange(source.count(), dtype=np.int64) for source in flat]
    remaining = iter(numbers)
    sets = []
    for ref, first, group in opened:
        parts = [
            np.column_stack([np.full(len(rows), first + place, np.int64), rows])
            for place, rows in enumerate(islice(remaining, len(group)))
        ]
        sets.append(_Set(ref, np.concatenate(parts)))
    return sets


def _train(sets: Sequence[_Set], config: DataConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    train, validation = [], [_none()]
    for number, one in enumerate(sets):
        if not len(one.rows):  # every row equals one of an earlier set
            train.append(one.rows)
            continue
        positions = sample(len(one.rows), one.ref.count, generator(config.seed, _SAMPLE, number))
        kept, aside = set_aside(positions, config.split_ratio, generator(config.seed, _SPLIT, number))
        train.append(one.rows[kept])
        validation.append(one.rows[aside])
    return _mixed(train, config), np.concatenate(validation)


def _mixed(sets: Sequence[NDArray[np.int64]], config: DataConfig) -> NDArray[np.int64]:
    filled = [number for number, rows in enumerate(sets) if len(rows)]
    weights: Sequence[float] | None = None if config.weights is None else [config.weights[number] for number in filled]
    sets = [sets[number] for number in filled]
    if len(sets) < 2 or (config.mix == "concatenate" and weights is None):
        return np.concatenate([_none(), *sets])
    if config.shuffle:  # a set that is not used up shall give a sample of itself, not its head
        sets = [generator(config.seed, _ORDER, number).permutation(rows, axis=0) for number, rows in enumerate(sets)]
    weights = check_weights(weights, len(sets))
    chosen, positions = interleave([len(rows) for rows in sets], weights, config.stopping, generator(config.seed, _MIX))
    mixed = np.empty((len(chosen), 2), np.int64)
    for number, rows in enumerate(sets):
        mine = chosen == number
        mixed[mine] = rows[positions[mine]]
    return mixed


def _sampled(one: _Set, seed: int, number: int) -> NDArray[np.int64]:
    return one.rows[sample(len(one.rows), one.ref.count, generator(seed, _SAMPLE, number))]


def _none() -> NDArray[np.int64]:
    return np.empty((0, 2), np.int64)
