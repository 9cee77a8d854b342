"""How much memory there is."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import torch

_GROUP = Path("/sys/fs/cgroup")


def available_memory(device: torch.device) -> int:
    """Bytes that can still be taken on `device`, beside what this process already has."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    free = int(psutil.virtual_memory().available)
    limit = group_limit(_GROUP) if sys.platform == "linux" else None
    return free if limit is None else min(free, limit)


def process_memory() -> int:
    """Bytes of main memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


def group_limit(folder: Path) -> int | None:
    """What a container's limit (control groups, version 2) leaves; None where there is no limit.

    Memory of cached files counts as free: the kernel gives it back first.
    """
    try:
        limit, current = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        files = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, KeyError):  # no such limits on this system
        return None
    return None if limit == "max" else max(int(limit) - int(current) + int(files), 0)
