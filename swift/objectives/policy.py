"""The model as objectives see it: hidden states in, token losses out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from swift.batch import Batch
from swift.losses.linear_cross_entropy import linear_cross_entropy
from swift.losses.token import chunked_loss, cross_entropy, token_losses
from swift.models.forward import Caller
from swift.models.head import HeadTransform
from swift.models.quantize.layers import is_quantized


@dataclass(frozen=True, slots=True)
class Policy:
    """A causal language model, taken apart at its output head.

    Attributes:
        model: The whole model, as it is saved.
        backbone: The part that ends in hidden states (with adapters in place).
        head: The output head.
        transform: What the architecture does to the head's output; None where that is not known, and the whole
            model has to be asked for its logits.
    """

    model: nn.Module
    backbone: Caller
    head: nn.Module
    transform: HeadTransform | None

    def hidden_states(self, batch: Batch) -> Tensor:
        """[targets, d]: the states that predict the batch's targets; their logits where the head is not known."""
        output = self.backbone(batch, self.model if self.transform is None else None)
        states: Tensor = output["logits"] if self.transform is None else output["last_hidden_state"]
        return states.reshape(-1, states.shape[-1])[batch.target_index]

    def token_loss(
        self, hidden: Tensor, batch: Batch, *, loss: str, smoothing: float, with_correct: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Weighted loss sum over the batch's targets, and how many were predicted right (if asked for)."""
        plain = type(self.head) is nn.Linear and not is_quantized(self.head)
        if loss == "cross_entropy" and plain and self.transform is not None:
            assert isinstance(self.head, nn.Linear)
            return linear_cross_entropy(
                hidden,
                self.head.weight,
                batch.targets,
                batch.weights,
                bias=self.head.bias,
                scale=self.transform.scale,
                softcap=self.transform.softcap,
                smoothing=smoothing,
                with_correct=with_correct,
            )
        function = partial(cross_entropy, smoothing=smoothing) if loss == "cross_entropy" else token_losses.get(loss)
        vocabulary = int(self.logits(hidden[:1].detach()).shape[-1])
        total = chunked_loss(self.logits, hidden, batch.targets, batch.weights, function, vocabulary=vocabulary)
        correct = self._correct(hidden.detach(), batch) if with_correct else None
        return total, correct

    def logits(self, hidden: Tensor) -> Tensor:
        """What `hidden_states` gave, [..., d] -> [..., vocabulary], as the whole model would have it."""
        return hidden if self.transform is None else self.transform(self.head(hidden))

    @torch.no_grad()
    def _correct(self, hidden: Tensor, batch: Batch) -> Tensor:
        hits = [
            (self.logits(part).argmax(-1) == wanted).sum()
            for part, wanted in zip(hidden.split(256), batch.targets.split(256), strict=True)
        ]
        return torch.stack(hits).sum().float()
