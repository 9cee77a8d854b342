"""The process before anything heavy is imported: environment variables, threads, signals.

Libraries read these variables when they are imported, so they are set here, first, and only where the
user has not set them. With the hub, this is the only place that touches the environment.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from swift.cli import ranks
from swift.errors import ConfigError
from swift.train.parallel.place import Place

DEFAULTS = {
    "TOKENIZERS_PARALLELISM": "false",  # our own workers are the parallelism; threads inside forks would deadlock
    "TRANSFORMERS_VERBOSITY": "error",  # what concerns the user, we say
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCH_LOGS": "-torch.utils._pytree",  # transformers imports torchao, which torch warns of twice a process
    # torch and oneDNN each keep the last 1,024 compiled matrix products, of a few hundred kilobytes, one for every new
    # length of a batch: half a gigabyte in the end. A layer has a dozen, and making one takes less than a millisecond.
    "LRU_CACHE_CAPACITY": "64",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}


ONE_PROCESS = frozenset({"check", "plan", "infer", "deploy", "app", "eval", "bench", "export", "merge-lora"})
"""Commands that users may expect to take several devices, and that do not."""

_TOLD = "SWIFT_STARTED"
"""Set for the processes that we start ourselves: what the command line gives rise to has been told already."""

_SET_BY_US = "SWIFT_SET_THREADS"
"""Set where OMP_NUM_THREADS is our choice and not the user's."""

_LINGER_SECONDS = 10.0


@contextmanager
def prepared(command: str) -> Iterator[None]:
    """The process, ready for a command.

    Raises:
        ConfigError: torchrun has started several processes for a command that is one.
    """
    here = place()
    if command in ONE_PROCESS:
        _require_one_process(command, here)
    set_defaults(os.environ, here.local_size)
    # Importing torch and transformers makes a million objects that live on; with Python's own thresholds the garbage
    # collector walks over them again and again, which takes a third of the time.
    gc.set_threshold(100_000, 50, 100)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        # While the interpreter shuts down there is nothing left to unwind.
        signal.signal(signal.SIGTERM, before)


def place() -> Place:
    """Which of several processes this is.

    Raises:
        ConfigError: torchrun's variables are no numbers.
    """
    return ranks.place_of(os.environ)


def tells() -> bool:
    """Whether this process says what there is to say about the command line; one of several does."""
    return place().main and _TOLD not in os.environ


@contextmanager
def first_tells() -> Iterator[None]:
    """An error that every process of a run finds alike, in the command line, comes out of the first one only."""
    try:
        yield
    except Exception as error:
        if place().main:
            raise
        time.sleep(_LINGER_SECONDS)  # the first one must not be ended while it speaks
        raise SystemExit(2) from error


def start_others(words: Sequence[str]) -> int | None:
    """Run the command in as many processes as the environment asks for; None where this one is enough.

    Args:
        words: The command and its options.

    Returns:
        The exit code.

    Raises:
        ConfigError: The environment contradicts itself.
        ResourceError: A process was killed.
        TrainingError: A process crashed.
    """
    start = ranks.start_of(os.environ)
    if start is None:
        return None
    os.environ[_TOLD] = "1"
    if _SET_BY_US in os.environ:
        del os.environ["OMP_NUM_THREADS"], os.environ[_SET_BY_US]
    set_defaults(os.environ, start.here)
    debug = ["--debug"] if "--debug" in sys.argv else []
    return ranks.run(start, [*words, *debug])


def set_defaults(environment: MutableMapping[str, str], processes: int = 1) -> None:
    """Set what the user has not set.

    Args:
        environment: The variables.
        processes: How many share the cores of this machine.
    """
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
    visible = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    cores = min(quota_cores() or visible, visible)
    if "OMP_NUM_THREADS" not in environment and (cores < visible or processes > 1):
        # Thread pools count the visible cores and know nothing of a quota, nor of each other, and then wait.
        environment["OMP_NUM_THREADS"] = str(max(1, cores // processes))
        environment[_SET_BY_US] = "1"


def _require_one_process(command: str, place: Place) -> None:
    if place.size > 1:
        with first_tells():
            raise ConfigError(
                f"torchrun has started {place.size} processes, and `swift {command}` is one",
                hint=f"run `swift {command}` without torchrun",
            )
    for name in ("NPROC_PER_NODE", "NNODES"):
        value = os.environ.get(name, "1").strip()
        if value not in ("", "1"):
            print(f"note: `swift {command}` is one process; {name}={value} is for training", file=sys.stderr)


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


def columns() -> int:
    """Width of the terminal. As `shutil.get_terminal_size`, whose module brings all kinds of compression."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(1).columns or 100
    except OSError:
        return 100
