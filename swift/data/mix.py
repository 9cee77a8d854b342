"""Sampling, splitting and mixing, by row numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swift.errors import ConfigError

Stopping = Literal["first_exhausted", "all_exhausted"]
_BLOCK = 4096


def generator(seed: int, *keys: int) -> np.random.Generator:
    """A generator for one purpose: equal arguments, equal numbers; other keys, independent ones."""
    return np.random.default_rng([seed % (1 << 64), *keys])


def sample(size: int, count: int | None, random: np.random.Generator) -> NDArray[np.int64]:
    """`count` of `size` positions: whole passes in order, then a sample without repeats, in order too.

    Args:
        size: How many there are; at least 1.
        count: How many are wanted; None for each once.
    """
    if count is None or count == size:
        return np.arange(size, dtype=np.int64)
    passes, rest = divmod(count, size)
    parts = [np.arange(size, dtype=np.int64)] * passes
    if rest:
        parts.append(np.sort(random.choice(size, rest, replace=False)).astype(np.int64))
    return np.concatenate(parts)


def set_aside(
    positions: NDArray[np.int64], ratio: float, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split positions into (training, validation), so that no row is on both sides however often it repeats.

    Args:
        positions: With repeats, as `sample` gives them.
        ratio: Share of the distinct positions for validation; at least one where there are two.

    Returns:
        Training positions in their order with their repeats; validation positions, each once, in order.
    """
    distinct = np.unique(positions)
    count = min(max(round(len(distinct) * ratio), 1), len(distinct) - 1) if ratio > 0 else 0
    if count <= 0:
        return positions, np.empty(0, np.int64)
    validation = np.sort(random.choice(distinct, count, replace=False))
    return positions[~np.isin(positions, validation)], validation


def check_weights(weights: Sequence[float] | None, sets: int) -> tuple[float, ...] | None:
    """Probabilities that sum to 1, or None for taking turns.

    Raises:
        ConfigError: Not one positive weight for each set.
    """
    if weights is None:
        return None
    if len(weights) != sets:
        raise ConfigError(f"interleave_prob has {len(weights)} values for {sets} data sets", hint="give one for each")
    if any(weight <= 0 for weight in weights):
        raise ConfigError(f"interleave_prob {min(weights)} is not positive", hint="leave that data set out")
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def picks(sets: int, weights: Sequence[float] | None, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Endless blocks of set numbers: in turn, or drawn by weight."""
    while True:
        if weights is None:
            yield np.tile(np.arange(sets, dtype=np.int64), _BLOCK)
        else:
            yield random.choice(sets, _BLOCK, p=np.asarray(weights)).astype(np.int64)


def interleave(
    sizes: Sequence[int], weights: Sequence[float] | None, stopping: Stopping, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Mix sets of these sizes.

    Returns:
        (set number, position within that set), in order. `first_exhausted` ends with the row that uses a set
        up first; `all_exhausted` with the one that uses up the last, sets that ended before beginning again.
    """
    blocks: list[NDArray[np.int64]] = []
    used = np.zeros(len(sizes), np.int64)
    wanted = np.asarray(sizes, np.int64)
    done = np.any if stopping == "first_exhausted" else np.all
    for block in picks(len(sizes), weights, random):
        blocks.append(block)
        used += np.bincount(block, minlength=len(sizes))
        if done(used >= wanted):
            break
    chosen = np.concatenate(blocks)
    # Where each set is used up: at its size-th pick.
    ends = [np.flatnonzero(chosen == number)[size - 1] for number, size in enumerate(sizes) if used[number] >= size]
    chosen = chosen[: (min(ends) if stopping == "first_exhausted" else max(ends)) + 1]
    positions = np.empty(len(chosen), np.int64)
    for number, size in enumerate(sizes):
        mine = np.flatnonzero(chosen == number)
        positions[mine] = np.arange(len(mine)) % size
    return chosen, positions
