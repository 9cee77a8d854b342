"""Random number generators go on exactly where they were."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

from swift.errors import CheckpointError
from swift.train import rng


def draw() -> list[float]:
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.rand()),
        float(np.random.randn()),
        *torch.randn(3).tolist(),
    ]


def test_restored_generators_repeat_their_numbers() -> None:
    rng.seed_everything(3)
    draw()  # Leaves a cached Gaussian in Python's and numpy's generator.
    tensors, values = rng.capture()
    values = json.loads(json.dumps(values))
    expected = [draw() for _ in range(3)]
    rng.seed_everything(99)
    assert rng.restore(tensors, values) == ()
    assert [draw() for _ in range(3)] == expected


def test_seeding_repeats() -> None:
    rng.seed_everything(7)
    first = draw()
    rng.seed_everything(7)
    assert draw() == first


def test_incomplete_state_is_refused() -> None:
    tensors, values = rng.capture()
    with pytest.raises(CheckpointError, match="random state is incomplete"):
        rng.restore({}, values)
    with pytest.raises(CheckpointError, match="random state is incomplete"):
        rng.restore(tensors, {"python": 3, "numpy": [0, 0, 0.0]})


def test_other_devices_are_named() -> None:
    tensors, values = rng.capture()
    extra = torch.cuda.device_count()
    notes = rng.restore({**tensors, f"rng/cuda.{extra}": tensors["rng/torch"]}, values)
    assert notes == (
        f"random numbers on cuda:{extra} go on differently: the checkpoint was saved with this device, "
        "which is not here",
    )
