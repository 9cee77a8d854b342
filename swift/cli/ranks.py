"""Starting a training run on several devices: what the environment asks for, and torchrun that starts it.

A run is one process on each device. `NPROC_PER_NODE=2 swift sft ...` starts them here, through
`torch.distributed.run`; `torchrun --nproc_per_node 2 -m swift sft ...` has started them already.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swift.errors import ConfigError, ResourceError, TrainingError
from swift.train.parallel.place import Place

_ASKING = ("NPROC_PER_NODE", "NNODES")
_STARTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_PATIENCE_SECONDS = 24 * 3600
"""How long processes that were asked to stop may take to save, before they are killed."""


@dataclass(frozen=True, slots=True)
class Start:
    """The processes to start.

    Attributes:
        here: On this machine.
        machines: Number of machines.
        machine: Number of this one.
        address: Name and port of machine 0; None where there is one machine only.
    """

    here: int
    machines: int = 1
    machine: int = 0
    address: tuple[str, int] | None = None


def place_of(environment: Mapping[str, str]) -> Place:
    """Which process this is, by what torchrun has put into the environment; one alone where there is nothing.

    Raises:
        ConfigError: A variable is no number.
    """
    if not all(environment.get(name, "").strip() for name in _STARTED):
        return Place()
    rank, size, local = (_number(environment, name, least=0) for name in _STARTED)
    return Place(rank, size, local, _number(environment, "LOCAL_WORLD_SIZE", default=size, least=1))


def start_of(environment: Mapping[str, str]) -> Start | None:
    """The processes that the user wants to be started; None where this one is one of them, or enough.

    Raises:
        ConfigError: A variable is no number, or one is missing.
    """
    if all(environment.get(name, "").strip() for name in _STARTED):
        return None
    here, machines = (_number(environment, name, default=1, least=1) for name in _ASKING)
    if here * machines == 1:
        if _number(environment, "WORLD_SIZE", default=1, least=1) > 1:
            raise ConfigError(
                f"WORLD_SIZE={environment['WORLD_SIZE']}, but RANK and LOCAL_RANK do not say which process this is",
                hint="unset it; NPROC_PER_NODE=2 starts two processes on this machine",
            )
        return None
    if machines == 1:
        return Start(here)
    address = environment.get("MASTER_ADDR", "").strip()
    if not address:
        raise ConfigError(
            f"NNODES={machines}, but MASTER_ADDR does not say where machine 0 is",
            hint="set MASTER_ADDR, and MASTER_PORT, to the same values on each machine, and NODE_RANK to its number",
        )
    machine = _number(environment, "NODE_RANK", default=0, least=0)
    if machine >= machines:
        raise ConfigError(f"NODE_RANK={machine} is none of {machines} machines", hint="they are counted from 0")
    return Start(here, machines, machine, (address, _number(environment, "MASTER_PORT", default=29500, least=1)))


def run(start: Start, words: Sequence[str]) -> int:
    """Run `swift` with `words` in each process, until all are done; returns the exit code.

    Raises:
        ResourceError: A process was killed.
        TrainingError: A process crashed.
    """
    import logging  # here, because help shall come at once
    import tempfile

    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args
    from torch.distributed.run import run as torchrun

    # What it has to say about processes that failed, they have said themselves.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="swift-start-") as logs:
        try:
            torchrun(parse_args(_torchrun_words(start, logs, words)))
        except ChildFailedError as error:
            return exit_code({rank: failure.exitcode for rank, failure in error.failures.items()})
        except SignalException as stop:
            _kill_children()
            return 128 + int(stop.sigval)
    return 0


def exit_code(codes: Mapping[int, int]) -> int:
    """The run's exit code, by those of the processes that failed.

    Whoever has told an error has ended with 1 or 2. The others were ended because of it, or by the same signal.

    Args:
        codes: By rank; negative for a signal, as in `subprocess`.

    Raises:
        ResourceError: A process was killed, and none told an error.
        TrainingError: A process crashed, and none told an error.
    """
    told = [code for code in (1, 2, 130, 128 + signal.SIGTERM) if code in codes.values()]
    crashed = {rank: code for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM}
    if crashed and not {1, 2} & set(told):
        rank, code = next(iter(sorted(crashed.items())))
        name = signal.Signals(-code).name
        if code == -signal.SIGKILL:
            raise ResourceError(
                f"process {rank} was killed; on Linux that is usually for lack of memory",
                hint="each process holds the whole model: start fewer, or see `swift plan` for ways out",
            )
        raise TrainingError(f"process {rank} was ended by {name}", hint="its own lines above may say why")
    return told[0] if told else 128 + signal.SIGTERM


def _torchrun_words(start: Start, logs: str, words: Sequence[str]) -> Iterable[str]:
    where = ["--standalone"]
    if start.address is not None:
        host, port = start.address
        where = ["--master-addr", host, "--master-port", str(port), "--node-rank", str(start.machine)]
    # With the module path of this process: `-m` would look into the working folder first.
    code = f"import sys; sys.path[:] = {sys.path!r}; from swift.cli.main import main; sys.exit(main())"
    return [
        *("--nnodes", str(start.machines), "--nproc-per-node", str(start.here), *where),
        *("--shutdown-timeout", str(_PATIENCE_SECONDS), "--log-dir", logs),
        *("--no-python", sys.executable, "-u", "-c", code, *words),
    ]


def _kill_children() -> None:
    """After a second signal nobody waits for them any more; after the first they have gone."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


def _number(environment: Mapping[str, str], name: str, *, default: int | None = None, least: int) -> int:
    value = environment.get(name, "").strip()
    if not value and default is not None:
        return default
    if not value.isdecimal() or int(value) < least:
        raise ConfigError(f"{name}={value} is not a number from {least} on", hint=f"such as {name}=2")
    return int(value)
