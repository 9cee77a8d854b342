"""Proof, on the model itself, that rows of a padded batch compute what they compute alone."""

from __future__ import annotations

import random
from collections.abc import Set

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.engines.batching import Job, RowBatch
from swift.engines.sampling import Chooser
from swift.models.structure import embedding_rows, special_ids
from swift.types import Sampling

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""Largest relative difference of logits that rounding explains; a wrong position or mask makes far more."""


def padding_is_safe(model: PreTrainedModel, parameters: Set[str]) -> bool:
    """Whether a short prompt gets the same logits alone and padded beside a longer one, at prefill and after.

    A forward pass that fails on such rows means no.

    Args:
        model: A model with a cache of plain keys and values.
        parameters: Names of the parameters of its forward pass.
    """
    try:
        return _equal(model, parameters)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError):
        return False  # an architecture whose forward pass does not take rows, masks or caches as others do


def _equal(model: PreTrainedModel, parameters: Set[str]) -> bool:
    special = special_ids(model)  # one that stands for a picture would ask for it
    ids = random.Random(0).choices([number for number in range(embedding_rows(model)) if number not in special], k=12)
    alone = _logits(model, parameters, [ids[:5]])
    beside = _logits(model, parameters, [ids[:5], ids])
    tolerance = _TOLERANCE.get(model.dtype, 0.1)
    return all(float((a - b).norm()) <= tolerance * float(a.norm()) for a, b in zip(alone, beside, strict=True))


def _logits(model: PreTrainedModel, parameters: Set[str], prompts: list[list[int]]) -> list[Tensor]:
    """Logits [vocabulary] of the first prompt's next token, and of the one after a fixed answer."""
    batch = RowBatch(model, parameters)
    jobs = [Job(number, prompt, 2, frozenset(), Chooser.new(Sampling(seed=0))) for number, prompt in enumerate(prompts)]
    first = batch.admit(jobs)
    for job in jobs:
        job.ids.append(job.prompt[0])
    return [first[0].float(), batch.step()[0].float()]
