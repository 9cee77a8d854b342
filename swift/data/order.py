"""Which sequences share a micro-batch, and in which order micro-batches come. Index arithmetic only.

How a plan is made:

| | shuffled | in the given order |
|---|---|---|
| fixed size | consecutive pieces of a permutation (1) | consecutive pieces |
| packing | best-fit packs, shuffled; `size` packs a micro-batch | next-fit packs |
| token budget, padding-free | best-fit groups, shuffled | next-fit groups |
| token budget, padded | sorted by length, filled up, shuffled | filled up in order |

(1) Where there is padding, similar lengths share a step.

With a fixed size, the set of sequences in a step depends on size x accumulation only, not on either alone. The
number of micro-batches is the same in every epoch.

Several processes make the same plan, and each takes its share of every step's micro-batches. What is in a step is
thus what one process would take that accumulates as many times more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.data.pack import best_fit, next_fit
from swift.errors import ConfigError

SEQUENCES_PER_STEP = 16
"""Where the user gives no accumulation, an optimizer step takes about this many sequences."""

_MEGA_STEPS = 32  # steps among which sequences are sorted by length: enough for little padding, still random

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """Micro-batches, as indices into the lengths they were planned for.

    Attributes:
        micro_batches: Each int64 [sequences].
        accumulation: Micro-batches to an optimizer step, of all processes; the last step may have fewer.
    """

    micro_batches: Sequence[Indices]
    accumulation: int

    @property
    def steps(self) -> int:
        """Optimizer steps, the last partial one included."""
        return -(-len(self.micro_batches) // self.accumulation)

    def step(self, number: int) -> Sequence[Indices]:
        """The micro-batches of one optimizer step, from 0."""
        return self.micro_batches[number * self.accumulation : (number + 1) * self.accumulation]


@dataclass(frozen=True, slots=True)
class Share:
    """The part of every step that one of several processes takes.

    Attributes:
        rank: Number of the process.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def of(self, micro_batches: Sequence[Indices], sizes: Indices, *, padding_free: bool) -> Sequence[Indices]:
        """This process' micro-batches of a step, in the step's order; perhaps none.

        The largest ones are dealt out first, each to who has least so far, so that nobody waits long for the others.

        Args:
            micro_batches: All of the step.
            sizes: Tokens of each sequence.
            padding_free: Layout of the batches.
        """
        if self.size == 1:
            return micro_batches
        taken = [slots(sizes[each], padding_free=padding_free) for each in micro_batches]
        filled = [0] * self.size
        mine: list[int] = []
        for number in sorted(range(len(taken)), key=lambda number: -taken[number]):
            rank = filled.index(min(filled))
            filled[rank] += taken[number]
            if rank == self.rank:
                mine.append(number)
        return [micro_batches[number] for number in sorted(mine)]


def plan_epoch(
    lengths: NDArray[np.integer],
    config: BatchConfig,
    data: DataConfig,
    *,
    max_length: int,
    epoch: int,
    padding_free: bool = True,
    ranks: int = 1,
) -> Plan:
    """The micro-batches of one epoch.

    Args:
        lengths: Tokens of each sequence of the epoch, in the order of the selection.
        config: Sizes; `padding_free` is resolved by the caller.
        data: Whether to shuffle, and the seed.
        max_length: Capacity of a pack.
        epoch: From 0; each is shuffled anew.
        padding_free: Whether sequences lie back to back or are padded to the longest.
        ranks: Processes that share each step.

    Raises:
        ConfigError: Packing without a padding-free model.
    """
    seed = (data.seed, epoch) if data.shuffle else None
    return plan(lengths, config, max_length=max_length, padding_free=padding_free, seed=seed, ranks=ranks)


def plan(
    lengths: NDArray[np.integer],
    config: BatchConfig,
    *,
    max_length: int,
    padding_free: bool,
    seed: tuple[int, ...] | None,
    ranks: int = 1,
) -> Plan:
    """The same for any set of sequences; `seed` None keeps their order.

    Raises:
        ConfigError: Packing without a padding-free model.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.arange(sizes.size) if seed is None else permutation(sizes.size, *seed)
    if config.packing:
        if not padding_free:
            raise ConfigError(
                "packing needs a model that keeps packed samples apart, and this one pads",
                hint="drop --packing; --max_tokens_per_batch with length grouping wastes little",
            )
        micro_batches = _merge(_fill(sizes, order, max_length, seed), config.size)
    elif config.max_tokens is not None:
        fill = _fill if padding_free else _fill_padded
        micro_batches = fill(sizes, order, config.max_tokens, seed)
    else:
        grouped = seed is not None and config.group_by_length and not padding_free
        step = config.size * accumulation_of(config, 0, 0, ranks)
        micro_batches = _cut(_by_length(sizes, order, step, seed or ()) if grouped else order, config.size)
    return Plan(micro_batches, accumulation_of(config, sizes.size, len(micro_batches), ranks))


def accumulation_of(config: BatchConfig, sequences: int, micro_batches: int, ranks: int = 1) -> int:
    """Micro-batches to an optimizer step, those of all processes together.

    As configured, by each process; else as many as make `SEQUENCES_PER_STEP` sequences over all processes. With
    packing or a token budget, where micro-batches differ in their number of sequences, the mean over the epoch
    decides, rounded.
    """
    if config.accumulation is not None:
        return config.accumulation * ranks
    if config.packing or config.max_tokens is not None:
        return ranks * max(1, round(SEQUENCES_PER_STEP * micro_batches / max(sequences, 1) / ranks))
    return ranks * -(-SEQUENCES_PER_STEP // (config.size * ranks))


def permutation(size: int, *seed: int) -> Indices:
    """A permutation that depends on size and seed alone.

    Sorts the raw output of PCG64, which numpy guarantees never to change, unlike its `permutation`; a run
    resumed under another numpy must see the same order.
    """
    bits = np.random.PCG64(np.random.SeedSequence([part % 2**64 for part in seed])).random_raw(size)
    return np.argsort(np.asarray(bits, dtype=np.uint64), kind="stable").astype(np.int64)


def slots(lengths: NDArray[np.int64], *, padding_free: bool) -> int:
    """Tokens including padding of a micro-batch of these lengths."""
    return int(lengths.sum()) if padding_free else int(lengths.max()) * lengths.size


def slots_at_once(lengths: NDArray[np.int64], limit: int | None, *, padding_free: bool) -> int:
    """At most so many of them go through the model at once where it takes slices of `limit` tokens."""
    whole = slots(lengths, padding_free=padding_free)
    return whole if limit is None else min(whole, max(limit, int(lengths.max())))


def _cut(order: Indices, size: int) -> list[Indices]:
    return [order[i : i + size] for i in range(0, order.size, size)]


def _merge(packs: list[Indices], size: int) -> list[Indices]:
    return [np.concatenate(packs[i : i + size]) for i in range(0, len(packs), size)]


def _fill(sizes: Indices, order: Indices, capacity: int, seed: tuple[int, ...] | None) -> list[Indices]:
    """Groups of at most `capacity` tokens; a longer sequence stands alone."""
    clipped = np.minimum(sizes[order], capacity)
    groups = next_fit(clipped, capacity) if seed is None else best_fit(clipped, capacity)
    filled = [order[group] for group in groups]
    return filled if seed is None else _shuffled(filled, seed)


def _fill_padded(sizes: Indices, order: Indices, capacity: int, seed: tuple[int, ...] | None) -> list[Indices]:
    """Groups whose number of sequences times the longest is at most `capacity`; a longer sequence stands alone."""
    if seed is not None:
        order = order[np.argsort(-sizes[order], kind="stable")]
    groups: list[Indices] = []
    begin, longest = 0, 0
    for i, size in enumerate(sizes[order].tolist()):
        longest = max(longest, size)
        if i > begin and longest * (i + 1 - begin) > capacity:
            groups.append(order[begin:i])
            begin, longest = i, size
    if order.size:
        groups.append(order[begin:])
    return groups if seed is None else _shuffled(groups, seed)


def _by_length(sizes: Indices, order: Indices, step: int, seed: tuple[int, ...]) -> Indices:
    """An order in which each step's sequences have similar lengths, and steps come at random.

    Sorting happens among the sequences of `_MEGA_STEPS` steps. It is whole steps that are homogeneous, not
    just micro-batches, so that what is in a step does not depend on how it is split.
    """
    full = order.size - order.size % step
    mega = step * _MEGA_STEPS
    steps: list[Indices] = []
    for begin in range(0, full, mega):
        piece = order[begin : min(begin + mega, full)]
        steps.extend(_cut(piece[np.argsort(-sizes[piece], kind="stable")], step))
    rest = order[full:]
    return np.concatenate([*_shuffled(steps, seed), rest[np.argsort(-sizes[rest], kind="stable")]])


def _shuffled(groups: list[Indices], seed: tuple[int, ...]) -> list[Indices]:
    return [groups[i] for i in permutation(len(groups), *seed, 1)]
