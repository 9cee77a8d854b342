"""One optimizer step, and one evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from swift.batch import Batch
from swift.data.slices import ONE_BY_ONE, sliced
from swift.train.events import Metrics
from swift.train.memory import peak_memory_gib
from swift.train.nonfinite import stop_on_nonfinite
from swift.train.run import Run
from swift.train.stop import elected, votes


def train_step(run: Run, micro_batches: Sequence[Batch], *, data_wait: float = 0.0) -> Metrics:
    """Forward, backward and update for the micro-batches of one step.

    Objectives return sums. Only here are they divided, by the count over all micro-batches of all processes, so that
    any split of the same samples gives the same gradient. A process without a micro-batch takes part in the sums.

    Raises:
        TrainingError: The loss or the gradient is not finite; nothing was updated.
    """
    started = time.perf_counter()
    counts = [(batch.count, batch.tokens, batch.slots, len(batch.origins)) for batch in micro_batches]
    count, tokens, slots, samples = run.parallel.sum(
        [sum(column) for column in zip((0, 0, 0, 0), *counts, strict=True)]
    )
    run.policy.model.train()
    for part in run.stepwise:
        run.optimizer.forget(part.before(run.state.step))
    rate = run.schedule.at(run.state.step)
    run.optimizer.set_rate(rate)  # some update in the backward pass
    losses = [_accumulate(run, batch, count) for batch in micro_batches]
    _add_penalties(run)
    own = torch.stack(losses).sum().item() if losses else 0.0
    total, *asked = run.parallel.total([own, *votes(run.asked)])
    run.stop_signal = elected(asked)
    loss = total / count
    grad_norm = math.nan
    if math.isfinite(loss):  # all processes agree on that, so all take part or none
        run.parallel.reduce(run.optimizer.parameters)
        grad_norm = run.optimizer.clip(run.config.optimizer.max_grad_norm)
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        stop_on_nonfinite(run, micro_batches, loss=loss, grad_norm=grad_norm)
    run.optimizer.step(rate)
    if not run.optimizer.skipped:
        for part in run.stepwise:
            part.after(run.state.step)
    run.optimizer.zero_grad()
    return Metrics(
        loss=loss,
        grad_norm=grad_norm,
        learning_rate=rate,
        targets=count,
        tokens=tokens,
        slots=slots,
        data_wait=data_wait,
        seconds=time.perf_counter() - started + data_wait,
        memory_gib=peak_memory_gib(run.device),
        extra={},
        samples=samples,
    )


def _add_penalties(run: Run) -> None:
    """Add the gradient of what the tuner adds to the loss; the processes' gradients will be summed."""
    for penalty in (part.penalty() for part in run.stepwise):
        if penalty is not None:
            run.optimizer.backward(penalty / run.parallel.size)


def _accumulate(run: Run, batch: Batch, count: int) -> torch.Tensor:
    """Add the gradient of one micro-batch; returns its loss sum, detached."""
    total = torch.zeros((), device=run.device)
    # The largest first: memory that was taken for it holds what comes after it.
    for piece in sorted(sliced(batch, run.slice_tokens), key=lambda piece: -piece.slots):
        if piece.count:
            with run.saving():
                loss = run.objective(run.policy, piece.to(run.device))
            run.optimizer.backward(loss.total / count)
            total += loss.total.detach()
    return total


@torch.no_grad()
def evaluate(run: Run) -> dict[str, float]:
    """Loss and token accuracy over all validation batches, each weighted by its targets.

    Each process takes every so many-th batch; the values are the same in all of them, so that all judge alike.
    """
    assert run.evaluation is not None
    started = time.perf_counter()
    run.policy.model.eval()
    with run.optimizer.averaged():
        total, correct, count = _evaluated(run)
    run.policy.model.train()
    seconds = time.perf_counter() - started
    total, correct, count, seconds = run.parallel.total([total, correct, count, seconds])
    return {
        "eval_loss": total / count,
        "eval_token_accuracy": correct / count,
        "eval_targets": count,
        "eval_seconds": seconds / run.parallel.size,
    }


def _evaluated(run: Run) -> tuple[float, float, float]:
    """Loss, correct tokens and targets of this process' share of the validation batches."""
    assert run.evaluation is not None
    total = correct = count = 0.0
    # Memory is no matter here; but samples that may not share a forward pass may not do so here either.
    limit = ONE_BY_ONE if run.slice_tokens == ONE_BY_ONE else None
    ours = (run.evaluation[number] for number in range(run.parallel.rank, len(run.evaluation), run.parallel.size))
    for piece in (piece for batch in ours for piece in sliced(batch, limit)):
        loss = run.evaluation_objective(run.policy, piece.to(run.device))
        total += loss.total.item()
        correct += loss.metrics["correct"].item()
        count += loss.count
    return total, correct, count
