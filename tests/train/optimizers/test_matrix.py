"""Every optimizer learns, and goes on bit for bit from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swift.train.optim_state import state_tensors
from swift.train.optimizers.registry import REFUSED, optimizers
from tests.train.optimizers.nets import Net, built, config_of, equal, rate_of, resumed, saved, steps, weights

QUICK = ("adamw", "adafactor", "adam_mini", "badam", "adalomo", "adamw_8bit", "galore", "muon", "schedule_free_adamw")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in optimizers.names()]
TYPES = ("adamw", "adamw_8bit", "lion", "galore", "came", "schedule_free_adamw", "adam_mini", "adalomo", "badam")


def check(folder: Path, name: str, dtype: torch.dtype = torch.float32, *, master: bool = True) -> list[float]:
    """Twenty steps, a checkpoint, and ten more steps twice: from memory and from the files. Returns the losses."""
    config, rate = config_of(name, master_weights=master), rate_of(name)
    straight = Net(dtype)
    optimizer = built(straight, config, rate)
    losses = steps(straight, optimizer, range(20), rate)
    path = saved(folder, straight, optimizer, 20)
    torch.manual_seed(999)  # another process, or dropout, draws other numbers
    after = steps(straight, optimizer, range(20, 30), rate)
    other, again = resumed(path, config, rate, dtype)
    assert steps(other, again, range(20, 30), rate) == after
    assert equal(weights(straight), weights(other))
    assert equal(state_tensors(optimizer)[0], state_tensors(again)[0])
    return losses + after


@pytest.mark.parametrize("name", NAMES)
def test_learns_and_resumes_exactly(name: str, tmp_path: Path) -> None:
    losses = check(tmp_path, name)
    assert min(losses[-5:]) < 0.8 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("master", [True, False])
def test_bfloat16_weights_with_and_without_copies(name: str, master: bool, tmp_path: Path) -> None:
    losses = check(tmp_path, name, torch.bfloat16, master=master)
    assert min(losses[-5:]) < 0.8 * losses[0]


def test_the_library_has_no_optimizer_that_is_neither_offered_nor_refused() -> None:
    library = pytest.importorskip("pytorch_optimizer")
    renamed = {"adammini": "adam_mini", "schedulefreeadamw": "schedule_free_adamw"}
    renamed |= {f"schedulefree{kind}": f"schedule_free_{kind}" for kind in ("radam", "sgd")}
    names = {renamed.get(name, name) for name in library.get_supported_optimizers()}
    assert names - set(optimizers.names()) - set(REFUSED) == set()
    assert set(optimizers.names()) & set(REFUSED) == set()
