"""Memory as the operating system and the device count it, and how the CPU allocator is set up."""

from __future__ import annotations

import ctypes
import platform
import resource
import sys

import torch

_GIB = 1024**3
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def peak_memory_gib(device: torch.device) -> float:
    """Peak memory in GiB: the device allocator's on an accelerator, the process's resident set on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _GIB if sys.platform == "darwin" else peak * 1024 / _GIB


_MAPPED = 4 * 1024**2
"""Blocks from this size on are mapped and unmapped each by itself: those of a small model's activations are smaller,
and for a large model's the page faults take little time beside the matrix products."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for reuse instead of returning them to the kernel each time.

    Training frees and takes the same tensors over and over; with glibc's defaults each one costs page faults and
    zeroing. The few really large ones, such as chunks of logits, would leave holes in the heap that nothing fills.
    Returns False where the C library is another one, which is then left as it is.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
