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


def keep_freed_memory() -> bool:
    """Tell glibc to keep large freed blocks for reuse instead of returning them to the kernel each time.

    Training frees and takes the same large tensors over and over; with glibc's defaults each one costs page
    faults and zeroing. Returns False where the C library is another one, which is then left as it is.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    largest = 2**31 - 1
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, largest))
