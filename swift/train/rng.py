"""The random number generators of Python, numpy and torch, as tensors and plain values."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swift.errors import CheckpointError
from swift.train.checkpoint import JSON

_PREFIX = "rng/"


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture() -> tuple[dict[str, Tensor], dict[str, JSON]]:
    """The state of every generator: tensors under `rng/`, and the few numbers that are not arrays."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    if kind != "MT19937":
        raise CheckpointError(f"numpy's global generator is {kind!r}; only MT19937 can be saved")
    tensors = {
        "rng/python": torch.tensor(words, dtype=torch.int64),
        "rng/numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "rng/torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors |= {f"rng/cuda.{i}": state.clone() for i, state in enumerate(torch.cuda.get_rng_state_all())}
    values: dict[str, JSON] = {
        "python": [version, gauss],
        "numpy": [int(position), int(has_gauss), float(cached)],
    }
    return tensors, values


def restore(tensors: Mapping[str, Tensor], values: Mapping[str, JSON]) -> tuple[str, ...]:
    """Put every generator back to what `capture` found.

    Args:
        tensors: As `capture` gave them; entries that are not under `rng/` are ignored.
        values: As `capture` gave them.

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
    return _restore_cuda({name.removeprefix(_PREFIX): t for name, t in tensors.items() if name.startswith(_PREFIX)})


def _restore_cuda(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    saved = sorted(int(name.removeprefix("cuda.")) for name in tensors if name.startswith("cuda."))
    here = list(range(torch.cuda.device_count() if torch.cuda.is_available() else 0))
    for i in saved:
        if i in here:
            torch.cuda.set_rng_state(tensors[f"cuda.{i}"].to("cpu", torch.uint8), i)
    return tuple(
        f"random numbers on cuda:{i} go on differently: the checkpoint was saved "
        + ("without this device" if i in here else "with this device, which is not here")
        for i in sorted(set(saved) ^ set(here))
    )


def _sequence(value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return value
