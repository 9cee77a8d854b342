"""Gradients of several processes, added up after the last backward pass of a step.

All trainable parameters take part, whether or not this process' rows touched them, and in the same order: so no
process waits for another that has no use for, say, the vision tower. A parameter that nobody touched keeps no
gradient, as with one process, and so is not decayed either.

Nothing here overlaps with the backward pass. A step waits for about two passes of all gradients over the slowest
link: for adapters (tens of megabytes) that is nothing, for all weights of a 7B model in float32 (28 GB) about a
fifth of a second over NVLink, and the better part of a minute over 10-gigabit Ethernet. More accumulation makes it
rarer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

BUCKET_ELEMENTS = 1 << 25
"""Numbers that are added up at once: large enough for the link, small beside the gradients themselves."""

_HALF = (torch.bfloat16, torch.float16)

Add = Callable[[Tensor], None]
"""Replaces a tensor, on the CPU or on the device, by its sum over all processes; all call it in the same order."""


@torch.no_grad()
def reduce_gradients(parameters: Sequence[nn.Parameter], add: Add, *, elements: int = BUCKET_ELEMENTS) -> None:
    """Replace each gradient by its sum over all processes; a missing one counts as zeros.

    16-bit gradients (of weights without a master copy) are added up in float32 and rounded once. All others are added
    up in their own type.

    Args:
        parameters: The same on every process, in the same order.
        add: The sum over the processes.
        elements: Numbers in a bucket; a larger gradient is a bucket of its own.
    """
    touched = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
    add(touched)
    wanted = [p for p, processes in zip(parameters, touched.tolist(), strict=True) if processes]
    for bucket in _buckets(wanted, elements):
        _reduce(bucket, add)


def _reduce(bucket: Sequence[nn.Parameter], add: Add) -> None:
    kind = torch.float32 if bucket[0].dtype in _HALF else bucket[0].dtype
    flat = torch.zeros(sum(p.numel() for p in bucket), dtype=kind, device=bucket[0].device)
    pieces = flat.split([p.numel() for p in bucket])
    for parameter, piece in zip(bucket, pieces, strict=True):
        if parameter.grad is not None:
            piece.view(parameter.shape).copy_(parameter.grad)
    add(flat)
    for parameter, piece in zip(bucket, pieces, strict=True):
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad.copy_(piece.view(parameter.shape))


def _buckets(parameters: Sequence[nn.Parameter], elements: int) -> Iterator[list[nn.Parameter]]:
    """Neighbours of one type and device, up to so many numbers."""
    bucket: list[nn.Parameter] = []
    filled = 0
    for parameter in parameters:
        alike = bucket and (bucket[0].dtype, bucket[0].device) == (parameter.dtype, parameter.device)
        if bucket and (not alike or filled + parameter.numel() > elements):
            yield bucket
            bucket, filled = [], 0
        bucket.append(parameter)
        filled += parameter.numel()
    if bucket:
        yield bucket
