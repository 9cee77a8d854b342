"""Proof, on the model itself, that rows of a padded batch compute what they compute alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Set

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.engines.adjust import Chooser
from swift.engines.batching import RowBatch
from swift.engines.branches import batches
from swift.engines.flat import FlatLane
from swift.engines.job import Job
from swift.engines.likelihood import TreeModel
from swift.engines.shape import input_device
from swift.engines.slots import SLOTS, can_slot, register_slots
from swift.models.head import HeadTransform
from swift.models.structure import embedding_rows, special_ids
from swift.types import Given, Sampling

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


def flat_is_right(model: PreTrainedModel, parameters: Set[str]) -> bool:
    """Whether a flat batch computes what the model computes for each row alone.

    Where it does, the model is left with the attention that flat batches need; else as it was.

    Args:
        model: Any model.
        parameters: Names of the parameters of its forward pass.
    """
    return _slots_are_right(model, parameters, lambda: _flat(model, parameters))


@torch.inference_mode()
def tree_is_right(model: PreTrainedModel, parameters: Set[str], transform: HeadTransform | None) -> bool:
    """Whether a tree of branches computes what the model computes for each row alone.

    Where it does, the model is left with the attention that trees need; else as it was.

    Args:
        model: Any model.
        parameters: Names of the parameters of its forward pass.
        transform: What the architecture does to the head's output.
    """
    return _slots_are_right(model, parameters, lambda: _tree(model, transform))


def _slots_are_right(model: PreTrainedModel, parameters: Set[str], compute: Callable[[], list[Tensor]]) -> bool:
    before = model.config._attn_implementation
    if not can_slot(model.config) or "position_ids" not in parameters or before not in ("sdpa", "eager", SLOTS):
        return False
    register_slots()
    try:
        expected = _alone(model)
        model.set_attn_implementation(SLOTS)
        found = [compute()] if before == SLOTS else [compute(), _alone(model)]
        if all(_close(logits, expected, model.dtype) for logits in found):
            return True
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError):
        pass  # an architecture that does not attend through transformers' interface, or not as others do
    model.set_attn_implementation(before)
    return False


def _tree(model: PreTrainedModel, transform: HeadTransform | None) -> list[Tensor]:
    """Logits behind each prompt, and behind it and its own first token, by a tree in pieces."""
    prompts = _prompts(model)
    samples = [Given((*ids, ids[0], ids[0]), (len(ids), len(ids) + 1)) for ids in prompts]
    found: dict[int, list[Tensor]] = {number: [] for number in range(len(prompts))}
    tree = TreeModel(model, transform)
    for batch in batches(samples, _TREE_PIECE):
        rows = torch.tensor(batch.rows, dtype=torch.int64, device=input_device(model))
        for number, logits in zip(batch.numbers, tree.logits(tree.states(batch, rows)), strict=True):
            found[number].append(logits)
    return [logits for some in found.values() for logits in some]


_LENGTHS = (5, 40, 23)
"""Prompts of the proof, the last of which begins like the second."""
_PIECE, _TREE_PIECE = 16, 24


def _prompts(model: PreTrainedModel) -> list[list[int]]:
    special = set(special_ids(model))
    known = [number for number in range(embedding_rows(model)) if number not in special]
    first, second, third = (random.Random(length).choices(known, k=length) for length in _LENGTHS)
    return [first, second, second[:18] + third[18:]]


@torch.inference_mode()
def _alone(model: PreTrainedModel) -> list[Tensor]:
    """Logits behind each prompt, and behind it and its own first token, by plain forward passes."""
    found = []
    for prompt in _prompts(model):
        ids = torch.tensor([[*prompt, prompt[0]]], device=input_device(model))
        logits = model(input_ids=ids, use_cache=False).logits[0]
        found += [logits[-2].float(), logits[-1].float()]
    return found


def _flat(model: PreTrainedModel, parameters: Set[str]) -> list[Tensor]:
    """The same from flat batches: in pieces, beside each other, and with a beginning that is there already."""
    lane = FlatLane(model, parameters, max_tokens=1000, max_rows=4, before=lambda: None, chunk=_PIECE)
    prompts = _prompts(model)
    jobs = [Job(number, ids, 2, frozenset(), Chooser.new(Sampling(seed=0))) for number, ids in enumerate(prompts)]
    found: dict[int, list[Tensor]] = {job.number: [] for job in jobs}
    lane.add(jobs[0])
    lane.add(jobs[1])
    while any(len(logits) < 2 for logits in found.values()):
        ready, logits = lane.compute()
        for job, row in zip(ready, logits, strict=True):
            found[job.number].append(row.float())
            job.ids.append(job.prompt[0])
            if job is jobs[1] and len(job.ids) == 1:
                lane.add(jobs[2])
            if len(job.ids) == 2:
                lane.drop(job)
    return [logits for job in jobs for logits in found[job.number]]


def _equal(model: PreTrainedModel, parameters: Set[str]) -> bool:
    special = special_ids(model)  # one that stands for a picture would ask for it
    ids = random.Random(0).choices([number for number in range(embedding_rows(model)) if number not in special], k=12)
    alone = _logits(model, parameters, [ids[:5]])
    beside = _logits(model, parameters, [ids[:5], ids])
    return _close(beside, alone, model.dtype)


def _close(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> bool:
    """Whether logits are the same but for the rounding of a model of this type."""
    tolerance = _TOLERANCE.get(dtype, 0.1)
    pairs = zip(found, expected, strict=True)
    return all(float((a - b).norm()) <= tolerance * float(b.norm()) for a, b in pairs)


def _logits(model: PreTrainedModel, parameters: Set[str], prompts: list[list[int]]) -> list[Tensor]:
    """Logits [vocabulary] of the first prompt's next token, and of the one after a fixed answer."""
    batch = RowBatch(model, parameters)
    jobs = [Job(number, prompt, 2, frozenset(), Chooser.new(Sampling(seed=0))) for number, prompt in enumerate(prompts)]
    first = batch.admit(jobs)
    for job in jobs:
        job.ids.append(job.prompt[0])
    return [first[0].float(), batch.step()[0].float()]
