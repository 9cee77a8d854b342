"""What every process checks before the first step."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

import pytest
import torch
from torch import nn

from swift.config.model import ModelConfig
from swift.errors import TrainingError
from swift.train.parallel.group import Group
from swift.train.parallel.place import Place
from swift.train.parallel.processes import Parallel
from swift.train.parallel.start import device_of, joined, require_same_start, weights_hash
from swift.train.rng import seed_process


class Other:
    """Stands for the connection to a process that gathers `theirs`."""

    def __init__(self, theirs: dict[str, str]) -> None:
        self._theirs = theirs

    def gather(self, mine: Any) -> list[Any]:
        return [mine, self._theirs]


def _model(seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to(dtype)
    model[0].weight.requires_grad_(False)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_hash_of_weights_sees_every_trainable_bit_and_nothing_else(dtype: torch.dtype) -> None:
    model = _model(0, dtype)
    before = weights_hash(model)
    assert before == weights_hash(_model(0, dtype))
    with torch.no_grad():
        cast(nn.Linear, cast(nn.Sequential, model)[0]).weight.add_(1.0)
        assert weights_hash(model) == before
        bias = cast(nn.Linear, cast(nn.Sequential, model)[1]).bias
        bias[1] = torch.nextafter(bias[1], torch.tensor(9.0, dtype=dtype))
    assert weights_hash(model) != before


def test_processes_that_begin_differently_are_refused() -> None:
    model = _model(0)
    same = {"trainable weights": weights_hash(model), "data": "a"}
    place = Place(0, 2, 0, 2)
    require_same_start(Parallel(place, cast(Group, Other(same))), model, {"data": "a"})
    with pytest.raises(TrainingError, match="process 1 begins with other data than process 0"):
        require_same_start(Parallel(place, cast(Group, Other({**same, "data": "b"}))), model, {"data": "a"})
    with pytest.raises(TrainingError, match="process 1 begins with other trainable weights than process 0"):
        require_same_start(Parallel(place, cast(Group, Other(same))), _model(1), {"data": "a"})


def test_processes_on_the_cpu_share_it() -> None:
    assert device_of(Place(1, 2, 1, 2), ModelConfig(device="cpu")) == torch.device("cpu")


def test_one_process_connects_to_nothing() -> None:
    with joined(Place(), ModelConfig(device="cpu")) as parallel:
        assert parallel == Parallel()
    assert not torch.distributed.is_initialized()
    code = "import sys, swift.train.assemble; sys.exit('swift.train.parallel.group' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_process_draws_its_own_numbers() -> None:
    drawn = []
    for numbers in ((0,), (1,), (0, 5), (0,)):
        seed_process(42, *numbers)
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[3]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]
