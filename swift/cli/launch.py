"""The process before anything heavy is imported: environment variables, threads, signals.

Libraries read these variables when they are imported, so they are set here, first, and only where the
user has not set them. With the hub, this is the only place that touches the environment.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from swift.errors import ConfigError

DEFAULTS = {
    "TOKENIZERS_PARALLELISM": "false",  # our own workers are the parallelism; threads inside forks would deadlock
    "TRANSFORMERS_VERBOSITY": "error",  # what concerns the user, we say
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # torch and oneDNN each keep the last 1,024 compiled matrix products, of a few hundred kilobytes, one for every new
    # length of a batch: half a gigabyte in the end. A layer has a dozen, and making one takes less than a millisecond.
    "LRU_CACHE_CAPACITY": "64",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}


@contextmanager
def prepared(*, trains: bool) -> Iterator[None]:
    """The process, ready for a command; `trains` says whether it is a training run.

    Raises:
        ConfigError: The environment asks for several processes.
    """
    if trains:
        require_one_process(os.environ)
    set_defaults(os.environ)
    # Importing torch and transformers makes a million objects that live on; with Python's own thresholds the garbage
    # collector walks over them again and again, which takes a third of the time.
    gc.set_threshold(100_000, 50, 100)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        # While the interpreter shuts down there is nothing left to unwind.
        signal.signal(signal.SIGTERM, before)


def set_defaults(environment: MutableMapping[str, str]) -> None:
    """Set what the user has not set."""
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
    visible = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    cores = quota_cores()
    if cores is not None and cores < visible:
        # Thread pools count the visible cores and know nothing of a quota, which makes them wait on each other.
        environment.setdefault("OMP_NUM_THREADS", str(cores))


def require_one_process(environment: MutableMapping[str, str]) -> None:
    """Refuse to be one of several processes, which would write into one run folder.

    Raises:
        ConfigError: A variable says that there are several.
    """
    for name in ("NPROC_PER_NODE", "NNODES", "WORLD_SIZE"):
        value = environment.get(name, "1")
        if value.strip() not in ("", "1"):
            raise ConfigError(
                f"{name}={value}: training with several processes is not supported yet",
                hint=f"unset {name}; choose the device with --device or CUDA_VISIBLE_DEVICES",
            )


def quota_cores(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Cores that the container's quota allows, rounded up; None where there is no quota."""
    try:
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, -(-int(quota) // int(period)))


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM unwinds the stack, so that files are closed; a training run puts its own handler in place."""
    raise SystemExit(128 + number)
