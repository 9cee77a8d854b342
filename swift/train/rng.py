"""The random number generators of Python, numpy and torch, as tensors and plain values."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swift.errors import CheckpointError
from swift.train.checkpoint import JSON

_PREFIX = "rng/"
_APART = 2**32  # no process has this number


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_process(seed: int, *numbers: int) -> None:
    """Seed one of several processes with what is its own, such as its rank, so that no two draw the same numbers."""
    mixed = np.random.SeedSequence([part % 2**64 for part in (seed, *numbers)])
    seed_everything(int(mixed.generate_state(1, np.uint64)[0]))


@contextmanager
def apart(seed: int, number: int) -> Iterator[None]:
    """The block draws numbers of its own, the same in every process; outside of it the generators go on untouched.

    Args:
        seed: The run's.
        number: Another one gives other numbers.
    """
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            seed_process(seed, _APART, number)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


def capture(own: torch.device | None = None) -> tuple[dict[str, Tensor], dict[str, JSON]]:
    """The state of every generator: tensors under `rng/`, and the few numbers that are not arrays.

    Args:
        own: The device of this process where others have theirs; None for all devices.
    """
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    if kind != "MT19937":
        raise CheckpointError(f"numpy's global generator is {kind!r}; only MT19937 can be saved")
    tensors = {
        "rng/python": torch.tensor(words, dtype=torch.int64),
        "rng/numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "rng/torch": torch.get_rng_state(),
    }
    tensors |= {f"rng/cuda.{i}": torch.cuda.get_rng_state(device).clone() for i, device in enumerate(_cuda(own))}
    values: dict[str, JSON] = {
        "python": [version, gauss],
        "numpy": [int(position), int(has_gauss), float(cached)],
    }
    return tensors, values


def restore(
    tensors: Mapping[str, Tensor], values: Mapping[str, JSON], own: torch.device | None = None
) -> tuple[str, ...]:
    """Put every generator back to what `capture` found.

    Args:
        tensors: As `capture` gave them; entries that are not under `rng/` are ignored.
        values: As `capture` gave them.
        own: As for `capture`.

    Returns:
        One line for each device whose generator could not be restored exactly, for the user to see: a checkpoint
        may be resumed on a machine with other devices.

    Raises:
        CheckpointError: The state is incomplete.
    """
    try:
        version, gauss = _sequence(values["python"])
        position, has_gauss, cached = _sequence(values["numpy"])
        numpy_state: Any = ("MT19937", tensors["rng/numpy"].numpy().astype(np.uint32), position, has_gauss, cached)
        words = tuple(tensors["rng/python"].tolist())
        random.setstate((version, words, gauss))
        np.random.set_state(numpy_state)
        torch.set_rng_state(tensors["rng/torch"].to("cpu", torch.uint8))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint's random state is incomplete: {error}") from error
    ours = {name.removeprefix(_PREFIX): t for name, t in tensors.items() if name.startswith(_PREFIX)}
    return _restore_cuda(ours, _cuda(own))


def of_process(tensors: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """What process `rank` captured, under other names in the checkpoint unless it is the first; see `for_process`."""
    prefix = _prefix(rank)
    return {_PREFIX + name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def for_process(tensors: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The names under which a checkpoint keeps what process `rank` captured."""
    return {_prefix(rank) + name.removeprefix(_PREFIX): t for name, t in tensors.items()}


def _prefix(rank: int) -> str:
    return f"rng-{rank}/" if rank else _PREFIX


def _cuda(own: torch.device | None) -> list[torch.device]:
    if not torch.cuda.is_available():
        return []
    if own is not None:
        return [own] if own.type == "cuda" else []
    return [torch.device("cuda", i) for i in range(torch.cuda.device_count())]


def _restore_cuda(tensors: Mapping[str, Tensor], devices: Sequence[torch.device]) -> tuple[str, ...]:
    saved = sorted(int(name.removeprefix("cuda.")) for name in tensors if name.startswith("cuda."))
    here = list(range(len(devices)))
    for i in saved:
        if i in here:
            torch.cuda.set_rng_state(tensors[f"cuda.{i}"].to("cpu", torch.uint8), devices[i])
    return tuple(
        f"random numbers on cuda:{i} go on differently: the checkpoint was saved "
        + ("without this device" if i in here else "with this device, which is not here")
        for i in sorted(set(saved) ^ set(here))
    )


def _sequence(value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return value
