"""Proof, on the loaded model, that no token sees the answer that it shall predict.

Some multimodal models read their prompt in both directions (a prefix language model) and must be told where the answer
begins. One that is told nothing would see the whole answer, and learn nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from swift.batch import Batch
from swift.errors import ModelError
from swift.models.forward import Backbone
from swift.models.isolation import Sample, sample_batch

_ANSWER = 3  # tokens at a sample's end that stand for an answer


def require_causal(backbone: Backbone, samples: Sequence[Sample]) -> Backbone:
    """How the model has to be called so that answers are not seen; `backbone` itself where it is causal anyway.

    Args:
        samples: With and without media; the last tokens of each are text.

    Raises:
        ModelError: It sees what comes later, however it is called.
    """
    for tried in (backbone, replace(backbone, marks_answer=True)):
        if all(_is_causal(tried, sample) for sample in samples):
            return tried
    raise ModelError("this model's tokens see the answer that they shall predict", hint="it cannot be trained on chats")


@torch.no_grad()
def _is_causal(backbone: Backbone, sample: Sample) -> bool:
    """Whether another last token leaves all states before it as they are."""
    other = sample.ids.clone()
    other[0, -1] = sample.ids[0, -2]
    seen = [backbone.states(_answered(ids, sample))[:, :-1] for ids in (sample.ids, other)]
    tolerance = 1e-4 if seen[0].dtype == torch.float32 else 2e-2
    moved = (seen[0] - seen[1]).float().norm(dim=-1) / seen[0].float().norm(dim=-1).clamp_min(1e-12)
    return bool(moved.max() <= tolerance)


def _answered(ids: Tensor, sample: Sample) -> Batch:
    """One sample whose last tokens are trained on."""
    batch = sample_batch([replace(sample, ids=ids)], alone=True)
    length = ids.shape[1]
    index = torch.arange(length - _ANSWER - 1, length - 1, device=ids.device)
    return replace(batch, target_index=index, targets=ids[0, index + 1], weights=torch.ones(_ANSWER, device=ids.device))
