"""Our step against a plain loop: both take the same samples, and have the same losses."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from benchmarks.recipe import Job, made_up_examples
from benchmarks.step import PADDED, PLAIN, Way, contend, micro_batches, our_config, our_way, padded, plain_way, report
from swift.models.tiny import save_tiny
from swift.train.assemble import assembled
from swift.train.parallel.processes import Parallel


@pytest.mark.parametrize("padding_free", [True, False])
def test_losses_are_those_of_the_plain_loop(tmp_path: Path, padding_free: bool) -> None:
    (tmp_path / "run").mkdir()
    model = save_tiny(tmp_path / "tiny")
    job = Job(model, made_up_examples(12), tmp_path / "run", "matched", dtype="float32")
    with ExitStack() as stack:
        packed = stack.enter_context(assembled(our_config(job, padding_free=True), Parallel()))
        batches = micro_batches(packed)
        plain = plain_way(packed, job, batches, tmp_path / "adapter")
        run = packed
        if not padding_free:
            (tmp_path / "again").mkdir()
            again = Job(model, job.examples, tmp_path / "again", "matched", dtype="float32")
            run = stack.enter_context(assembled(our_config(again, padding_free=False), Parallel()))
        ours = our_way(run, micro_batches(run))
        contend([plain, ours], len(batches))
    assert len(ours.losses) == len(plain.losses) == 3
    assert ours.losses == pytest.approx(plain.losses, abs=2e-5)
    width = max(batches[0].lengths)
    inputs = padded(batches[0])
    assert inputs["input_ids"].shape == inputs["labels"].shape == (4, width)
    assert int(inputs["attention_mask"].sum()) == batches[0].tokens
    assert torch.equal(inputs["labels"][inputs["labels"] >= 0], inputs["input_ids"][inputs["labels"] >= 0])


def test_ways_take_turns_and_warm_up_steps_do_not_count() -> None:
    order: list[str] = []

    def way(name: str, loss: float) -> Way:
        def step(number: int) -> float:
            order.append(f"{name}{number}")
            return loss

        return Way(step)

    ways = {PLAIN: way("a", 1.0), PADDED: way("b", 1.5)}
    contend(list(ways.values()), 3)
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]
    ways[PLAIN].seconds, ways[PADDED].seconds = [9.0, 2.0, 4.0], [9.0, 1.0, 2.0]
    row = report(ways, [50, 60, 30], 1).splitlines()[-1]
    assert row == f"| {PADDED} | 1.500 | 1.500 | 30.0 | 2.00 | 1.50000 | 0.5000 |"
