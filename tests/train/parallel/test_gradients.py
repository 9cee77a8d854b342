"""Gradients of several processes are added up, also where some are missing. Threads stand for the processes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from swift.train.parallel.gradients import reduce_gradients

SHAPES = ((3, 4), (5,), (2, 2), (7,), ())


class Sum:
    """Adds up tensors over threads that call it equally often; a tensor of another shape or type is an error."""

    def __init__(self, threads: int) -> None:
        self._barrier = threading.Barrier(threads, timeout=10)
        self._tensors: list[Tensor] = []
        self._lock = threading.Lock()
        self.calls = 0

    def __call__(self, tensor: Tensor) -> None:
        with self._lock:
            self._tensors.append(tensor.clone())
        self._barrier.wait()
        assert len({(t.shape, t.dtype) for t in self._tensors}) == 1
        total = torch.stack(self._tensors).sum(0, dtype=tensor.dtype)
        if self._barrier.wait() == 0:
            self._tensors, self.calls = [], self.calls + 1
        self._barrier.wait()
        tensor.copy_(total)


def parameters(rank: int, missing: set[tuple[int, int]], dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """One process' parameters; the pairs of (rank, number) in `missing` have no gradient."""
    made = []
    for number, shape in enumerate(SHAPES):
        parameter = nn.Parameter(torch.zeros(shape, dtype=dtype))
        if (rank, number) not in missing:
            parameter.grad = torch.full(shape, float(10**rank * (number + 1)), dtype=dtype)
        made.append(parameter)
    return made


def reduced(ranks: list[list[nn.Parameter]], **options: int) -> int:
    """Reduce in a thread each; returns how many sums it took."""
    add, failed = Sum(len(ranks)), []

    def run(mine: list[nn.Parameter]) -> None:
        try:
            reduce_gradients(mine, add, **options)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    return add.calls


@pytest.mark.parametrize("elements", [1, 12, 1000])
def test_a_missing_gradient_counts_as_zeros_and_one_that_nobody_has_stays_away(elements: int) -> None:
    ranks = [parameters(rank, {(0, 0), (1, 1), (2, 1), (0, 3), (1, 3), (2, 3)}) for rank in range(3)]
    reduced(ranks, elements=elements)
    for mine in ranks:
        assert mine[3].grad is None
        found = [p.grad for p in mine if p.grad is not None]
        assert [g.unique().tolist() for g in found] == [[110.0], [2.0], [333.0], [555.0]]
        assert [tuple(g.shape) for g in found] == [shape for n, shape in enumerate(SHAPES) if n != 3]


def test_a_process_without_any_gradient_gets_those_of_the_others() -> None:
    ranks = [parameters(0, set()), parameters(1, {(1, n) for n in range(len(SHAPES))})]
    reduced(ranks)
    for one, other in zip(*ranks, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_nothing_to_add_up_takes_one_sum() -> None:
    nothing = {(rank, number) for rank in range(2) for number in range(len(SHAPES))}
    ranks = [parameters(rank, nothing) for rank in range(2)]
    assert reduced(ranks) == 1
    assert all(p.grad is None for mine in ranks for p in mine)


def test_16_bit_gradients_are_rounded_once() -> None:
    """256 + 1 + 1 + 1 + 1 is 260 in bfloat16, but 256 where each sum is rounded."""
    ranks = [[nn.Parameter(torch.zeros(4, dtype=torch.bfloat16))] for _ in range(5)]
    for rank, (parameter,) in enumerate(ranks):
        parameter.grad = torch.full((4,), 1.0 if rank else 256.0, dtype=torch.bfloat16)
    reduced(ranks)
    for (parameter,) in ranks:
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.bfloat16
        assert parameter.grad.tolist() == [260.0] * 4


def test_neighbours_of_other_types_are_added_up_apart() -> None:
    kinds = (torch.float32, torch.float64, torch.float32)
    ranks = [[nn.Parameter(torch.zeros(3, dtype=kind)) for kind in kinds] for _ in range(2)]
    for mine in ranks:
        for parameter in mine:
            parameter.grad = torch.ones_like(parameter)
    assert reduced(ranks) == 4
    assert all(p.grad is not None and p.grad.tolist() == [2.0] * 3 for mine in ranks for p in mine)


def test_alone_the_sums_are_what_was_given() -> None:
    from swift.train.parallel.processes import Parallel

    alone = Parallel()
    (parameter,) = (nn.Parameter(torch.zeros(2)),)
    alone.reduce([parameter])
    assert parameter.grad is None
    assert (alone.sum([1, 2]), alone.total([0.5]), alone.gather("x"), alone.broadcast("y")) == (
        [1, 2],
        [0.5],
        ["x"],
        "y",
    )
    ran: list[Callable[[], None]] = []
    with alone.local_main_first("work"):
        ran.append(lambda: None)
    assert len(ran) == 1
