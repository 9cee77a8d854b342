"""A data set over several processes: each has a stretch of the rows, its own model and its own file.

The files lie beside the result file, and are put together in the order of the rows when all are whole. A process that
dies takes nothing with it: what it has written is gone on from when the command is given again.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import orjson

from swift.config.runs import InferConfig
from swift.errors import DataError, EngineError, SwiftError
from swift.inference.batch import Stretch, selection_of
from swift.inference.results import identity_file

_PART = ".part-"
_FAILED = 2
"""Exit code of a process that has told why it cannot go on."""


def spread(config: InferConfig) -> None:
    """Answer a data set with `config.num_processes` processes.

    Raises:
        DataError: There are files of a run with another number of processes.
        EngineError: A process has died; the rows that are done stay done.
    """
    from swift.inference.run import answer_rows

    assert config.result_path is not None
    result, count = Path(config.result_path), config.num_processes
    total = len(selection_of(config).validation)
    stretches = [
        Stretch(number * total // count, (number + 1) * total // count, part(result, number, count), number == 0)
        for number in range(count)
    ]
    _require_free(result, stretches)
    if result.exists():  # of a run with one process, or all of it: it is seen to that it is of the same identity
        answer_rows(config, None)
        return
    result.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=work, args=(config, number, stretch), name=f"swift-infer-{number + 1}")
        for number, stretch in enumerate(stretches)
    ]
    with _running(processes):
        for process in processes:
            process.join()
    dead = [number for number, process in enumerate(processes) if process.exitcode]
    if dead:
        raise _died(processes, stretches, dead[0])
    _join(result, stretches)
    sys.stderr.write(f"{total} rows in {result}\n")


def work(config: InferConfig, number: int, stretch: Stretch) -> None:
    """What each process does; its exit code tells how it went."""
    import torch

    from swift.inference.run import answer_rows

    if not torch.accelerator.is_available():
        torch.set_num_threads(max(1, torch.get_num_threads() // config.num_processes))
    try:
        answer_rows(placed(config, number, torch.accelerator.device_count()), stretch)
    except SwiftError as error:
        sys.stderr.write(f"process {number + 1}: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        sys.exit(_FAILED)


def placed(config: InferConfig, number: int, devices: int) -> InferConfig:
    """The configuration of one process: on a device of its own, where there are several and none is named."""
    named = config.model is not None and (config.model.device != "auto" or config.model.device_map is not None)
    if devices == 0 or named:
        return config
    import torch

    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    device = {"device": f"{kind.type}:{number % devices}"}
    from swift.config.model import ModelConfig

    model = ModelConfig.model_validate(device) if config.model is None else config.model.model_copy(update=device)
    return config.model_copy(update={"model": model})


def part(result: Path, number: int, count: int) -> Path:
    """Where a process writes."""
    return result.with_name(f"{result.name}{_PART}{number + 1}-of-{count}")


def _require_free(result: Path, stretches: list[Stretch]) -> None:
    """Files of another split would be left behind, and their rows answered twice."""
    ours = {stretch.path for stretch in stretches if stretch.path is not None}
    others = [
        path
        for path in sorted(result.parent.glob(f"{result.name}{_PART}*"))
        if path not in ours and path not in {identity_file(own) for own in ours}
    ]
    if others:
        raise DataError(
            f"{others[0]} is of a run with another number of processes",
            hint="give the same --num_processes, or delete the files",
        )


@contextmanager
def _running(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """The processes, which end with this one."""
    for process in processes:
        process.daemon = True
        process.start()
    try:
        yield
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()


def _died(processes: Sequence[BaseProcess], stretches: list[Stretch], number: int) -> EngineError:
    stretch = stretches[number]
    return EngineError(
        f"process {number + 1} of {len(processes)} has ended with exit code {processes[number].exitcode}, before the "
        f"rows {stretch.begin + 1} to {stretch.end} were done",
        hint="what is done is kept: give the same command again to go on",
    )


def _join(result: Path, stretches: list[Stretch]) -> None:
    """Put the files together, whole or not at all."""
    paths = [stretch.path for stretch in stretches if stretch.path is not None]
    identity = orjson.loads(identity_file(paths[0]).read_bytes())
    del identity["stretch"]
    identity_file(result).write_bytes(orjson.dumps(identity, option=orjson.OPT_INDENT_2))
    temporary = result.with_name(f"{result.name}.tmp")
    with temporary.open("wb") as file:
        for path in paths:
            file.write(path.read_bytes())
    temporary.replace(result)
    for path in paths:
        path.unlink()
        identity_file(path).unlink()
