"""Sequences to tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from swift.batch import Batch, MediaInputs
from swift.types import Tokens

Media = Callable[[Tokens], MediaInputs | None]
"""What a sequence shows or plays, as the model's inputs."""


def collate(samples: Sequence[Tokens], *, padding_free: bool, pad_id: int, media: Media | None = None) -> Batch:
    """One batch of these sequences, in this order.

    Args:
        samples: At least one sequence.
        padding_free: All in one row, back to back; else one a row, padded on the right.
        pad_id: Token id that padding gets; the model never attends to it.
        media: Loads what the samples show; None where all are text.

    Returns:
        The batch. A token is a target where its weight is positive; the first of a sequence never is, since
        nothing predicts it.
    """
    lengths = np.fromiter((len(sample.ids) for sample in samples), dtype=np.int64, count=len(samples))
    starts = np.zeros(len(samples) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    ids = np.concatenate([sample.ids for sample in samples]).astype(np.int64)
    weights = np.concatenate([sample.weights for sample in samples]).astype(np.float32)
    weights[starts[:-1][lengths > 0]] = 0.0
    within = np.arange(ids.size, dtype=np.int64) - np.repeat(starts[:-1], lengths)
    where = np.flatnonzero(weights > 0)
    if padding_free:
        rows, positions, mask, index = ids[None], within[None], None, where - 1
    else:
        width = int(lengths.max())
        slot = np.repeat(np.arange(len(samples), dtype=np.int64) * width, lengths) + within
        rows = np.full((len(samples), width), pad_id, dtype=np.int64)
        rows.reshape(-1)[slot] = ids
        positions = np.tile(np.arange(width, dtype=np.int64), (len(samples), 1))
        mask = torch.from_numpy(np.arange(width) < lengths[:, None])
        index = slot[where] - 1
    return Batch(
        input_ids=_tensor(rows),
        position_ids=_tensor(positions),
        targets=_tensor(ids[where]),
        target_index=_tensor(index),
        weights=_tensor(weights[where]),
        boundaries=tuple(starts.tolist()) if padding_free else None,
        attention_mask=mask,
        tokens=int(ids.size),
        origins=tuple(sample.origin for sample in samples),
        media=_media(samples, media),
    )


def _media(samples: Sequence[Tokens], media: Media | None) -> tuple[MediaInputs | None, ...]:
    if media is None or all(sample.shown is None for sample in samples):
        return ()
    if _THREADS < 2 or len(samples) < 2:
        return tuple(media(sample) for sample in samples)
    return tuple(_threads().map(media, samples))


_THREADS = min((os.cpu_count() or 1) // 2, 8)
"""Threads that load media: decoding and resizing let each other run. Half of the cores are left to the training."""


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="swift-media")


def _tensor(array: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
