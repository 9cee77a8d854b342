"""A micro-batch in pieces of whole sequences, so that memory depends on the piece and not on the batch.

Losses are sums that the loop divides, so the gradient of a micro-batch is the sum of its pieces' gradients. Unlike
recomputing activations this costs no arithmetic: only matrix products get smaller, which a CPU does not feel.
"""

from __future__ import annotations

import torch

from swift.batch import Batch

ONE_BY_ONE = 0
"""The limit that makes every sequence a piece of its own."""

CPU_SLICE = 512
"""Tokens that go through the model at once on the CPU, where the user says nothing."""


def slice_limit(wanted: int | None, device: torch.device) -> int | None:
    """How many tokens go through the model at once; None for whole micro-batches.

    A CPU computes small matrix products as fast as large ones; an accelerator wants them large.

    Args:
        wanted: As configured: None leaves it to the device, 0 is whole micro-batches.
    """
    if wanted is None:
        return CPU_SLICE if device.type == "cpu" else None
    return wanted or None


def sliced(batch: Batch, limit: int | None) -> list[Batch]:
    """Split `batch` between sequences, in order.

    Args:
        batch: Either layout.
        limit: Slots (tokens including padding) of a piece; a single sequence may have more. None does not split.

    Returns:
        Pieces with each sequence in exactly one of them.
    """
    if limit is None or batch.slots <= limit or len(batch.origins) == 1:
        return [batch]
    lengths = batch.lengths
    groups = _groups(lengths, limit, padded=batch.boundaries is None)
    piece = _padded_piece if batch.boundaries is None else _packed_piece
    return [piece(batch, lengths, first, last) for first, last in groups]


def largest_piece(batch: Batch, limit: int | None) -> Batch:
    """The piece of `batch` with the most slots."""
    return max(sliced(batch, limit), key=lambda piece: piece.slots)


def _groups(lengths: list[int], limit: int, *, padded: bool) -> list[tuple[int, int]]:
    """Half-open ranges of sequences that fill a piece each."""
    groups: list[tuple[int, int]] = []
    first = total = longest = 0
    for number, length in enumerate(lengths):
        longest = max(longest, length)
        total = longest * (number + 1 - first) if padded else total + length
        if total > limit and number > first:
            groups.append((first, number))
            first, total, longest = number, length, length
    return [*groups, (first, len(lengths))]


def _packed_piece(batch: Batch, lengths: list[int], first: int, last: int) -> Batch:
    assert batch.boundaries is not None
    edges = batch.boundaries[first : last + 1]
    begin, end = edges[0], edges[-1]
    inside = (batch.target_index >= begin) & (batch.target_index < end)
    return Batch(
        input_ids=batch.input_ids[:, begin:end],
        position_ids=batch.position_ids[:, begin:end],
        targets=batch.targets[inside],
        target_index=batch.target_index[inside] - begin,
        weights=batch.weights[inside],
        boundaries=tuple(edge - begin for edge in edges),
        attention_mask=None,
        tokens=end - begin,
        origins=batch.origins[first:last],
        media=batch.media[first:last],
    )


def _padded_piece(batch: Batch, lengths: list[int], first: int, last: int) -> Batch:
    assert batch.attention_mask is not None
    width, narrow = batch.input_ids.shape[1], max(lengths[first:last])
    row = torch.div(batch.target_index, width, rounding_mode="floor")
    inside = (row >= first) & (row < last)
    return Batch(
        input_ids=batch.input_ids[first:last, :narrow],
        position_ids=batch.position_ids[first:last, :narrow],
        targets=batch.targets[inside],
        target_index=(row[inside] - first) * narrow + batch.target_index[inside] % width,
        weights=batch.weights[inside],
        boundaries=None,
        attention_mask=batch.attention_mask[first:last, :narrow],
        tokens=sum(lengths[first:last]),
        origins=batch.origins[first:last],
        media=batch.media[first:last],
    )
