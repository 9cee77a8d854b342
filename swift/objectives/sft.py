"""Supervised fine-tuning: the cross entropy of the target tokens."""

from __future__ import annotations

from dataclasses import dataclass

from swift.batch import Batch, LossSum
from swift.objectives.policy import Policy


@dataclass(frozen=True, slots=True)
class SftObjective:
    """(policy, batch) -> summed loss over the batch's targets.

    Attributes:
        loss: `cross_entropy` or a registered token loss.
        smoothing: Label smoothing of the cross entropy.
        with_correct: Also count targets that are predicted right; costs one more pass over the logits.
    """

    loss: str = "cross_entropy"
    smoothing: float = 0.0
    with_correct: bool = False

    def __call__(self, policy: Policy, batch: Batch) -> LossSum:
        hidden = policy.hidden_states(batch)
        total, correct = policy.token_loss(
            hidden, batch, loss=self.loss, smoothing=self.smoothing, with_correct=self.with_correct
        )
        return LossSum(total, batch.count, {} if correct is None else {"correct": correct})
