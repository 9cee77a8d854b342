"""One optimizer step, and one evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from swift.batch import Batch
from swift.data.slices import ONE_BY_ONE, sliced
from swift.models.recompute import recompute_cheap
from swift.train.events import Metrics
from swift.train.memory import peak_memory_gib
from swift.train.nonfinite import stop_on_nonfinite
from swift.train.run import Run


def train_step(run: Run, micro_batches: Sequence[Batch], *, data_wait: float = 0.0) -> Metrics:
    """Forward, backward and update for the micro-batches of one step.

    Objectives return sums. Only here are they divided, by the count over all micro-batches, so that any split
    of the same samples into micro-batches gives the same gradient.

    Raises:
        TrainingError: The loss or the gradient is not finite; nothing was updated.
    """
    started = time.perf_counter()
    count = sum(batch.count for batch in micro_batches)
    run.policy.model.train()
    losses = [_accumulate(run, batch, count) for batch in micro_batches]
    loss = torch.stack(losses).sum().item() / count
    rate = run.schedule.at(run.state.step)
    grad_norm = run.optimizer.clip(run.config.optimizer.max_grad_norm) if math.isfinite(loss) else math.nan
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        stop_on_nonfinite(run, micro_batches, loss=loss, grad_norm=grad_norm)
    run.optimizer.step(rate)
    run.optimizer.zero_grad()
    return Metrics(
        loss=loss,
        grad_norm=grad_norm,
        learning_rate=rate,
        targets=count,
        tokens=sum(batch.tokens for batch in micro_batches),
        slots=sum(batch.slots for batch in micro_batches),
        data_wait=data_wait,
        seconds=time.perf_counter() - started + data_wait,
        memory_gib=peak_memory_gib(run.device),
        extra={},
    )


def _accumulate(run: Run, batch: Batch, count: int) -> torch.Tensor:
    """Add the gradient of one micro-batch; returns its loss sum, detached."""
    total = torch.zeros((), device=run.device)
    # The largest first: memory that was taken for it holds what comes after it.
    for piece in sorted(sliced(batch, run.slice_tokens), key=lambda piece: -piece.slots):
        if piece.count:
            with recompute_cheap():
                loss = run.objective(run.policy, piece.to(run.device))
            run.optimizer.backward(loss.total / count)
            total += loss.total.detach()
    return total


@torch.no_grad()
def evaluate(run: Run) -> dict[str, float]:
    """Loss and token accuracy over all validation batches, each weighted by its targets."""
    assert run.evaluation is not None
    started = time.perf_counter()
    run.policy.model.eval()
    total = correct = count = 0.0
    # Memory is no matter here; but samples that may not share a forward pass may not do so here either.
    limit = ONE_BY_ONE if run.slice_tokens == ONE_BY_ONE else None
    for piece in (piece for batch in run.evaluation for piece in sliced(batch, limit)):
        loss = run.evaluation_objective(run.policy, piece.to(run.device))
        total += loss.total.item()
        correct += loss.metrics["correct"].item()
        count += loss.count
    run.policy.model.train()
    return {
        "eval_loss": total / count,
        "eval_token_accuracy": correct / count,
        "eval_targets": count,
        "eval_seconds": time.perf_counter() - started,
    }
