"""Proof, on the loaded model itself, that samples which lie back to back do not see each other.

Nothing is assumed about an architecture: each layout is tried on a few random tokens and compared with the
samples run one by one through an attention that transformers itself ships.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from swift.batch import Batch, MediaInputs
from swift.errors import ModelError
from swift.models.attention import PACKED, register_packed_attention
from swift.models.blocks import register_block_attention
from swift.models.forward import Backbone, variants, with_blocks
from swift.models.structure import input_embeddings, is_composite, language_model, special_ids, text_config
from swift.types import Origin

_LENGTHS = (7, 12, 5)
_REFUSALS = (TypeError, ValueError, NotImplementedError, KeyError, RuntimeError, IndexError, AttributeError)
"""What architectures raise at a layout that they do not know."""
_ORIGIN = Origin("the proof of isolation", 1)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sequence to try a layout with.

    Attributes:
        ids: int64 [1, length].
        media: What it shows or plays, if it does.
    """

    ids: Tensor
    media: MediaInputs | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How batches are laid out for this model.

    Attributes:
        padding_free: Samples lie back to back in one row.
        attention: Name of the attention implementation now set on the language model.
        usual: The one that it was loaded with.
        reason: Why it is not padding-free, or how it is kept apart; for the start banner.
        backbone: How the model is called in this layout.
        one_by_one: Not even padded samples may share a forward pass.
    """

    padding_free: bool
    attention: str
    usual: str
    reason: str
    backbone: Backbone
    one_by_one: bool = False


def choose_layout(
    model: PreTrainedModel,
    backbone: Backbone,
    *,
    wanted: bool | None,
    attention: str,
    longest: int = 0,
    media: Sequence[Sample] = (),
) -> Layout:
    """Find the fastest layout that is proved right, and set the model's attention accordingly.

    Args:
        wanted: True insists on padding-free, False refuses it, None takes it where it is proved.
        attention: `auto`, or the name that the user insists on.
        longest: Tokens of the longest sample that will come.
        media: Samples with media, for a model that will get such.

    Raises:
        ModelError: Padding-free was insisted on and no implementation keeps samples apart.
    """
    text_model = _text_model(model)
    original = str(text_model.config._attn_implementation)
    if wanted is False and not media:
        return Layout(False, original, original, "padding, as configured", backbone)
    samples = mixed_samples(model, media)
    reference = _one_by_one(backbone, samples)
    if wanted is False:
        return _padded(original, backbone, samples, reference, "as configured")
    ours = register_packed_attention()
    # Windows reach the attention as an argument; chunks are in transformers' mask only, and longer than the proof.
    chunk = getattr(text_config(model), "attention_chunk_size", None)
    names = [original] if chunk is not None and longest > chunk else [ours, original]
    tries = [(name, way) for name in (names if attention == "auto" else [attention]) for way in variants(backbone)]
    if media and attention == "auto":
        tries.append((register_block_attention(), with_blocks(backbone)))
    refused = []
    for name, tried in tries:
        problem = _problem(text_model, tried, name, samples, reference)
        if problem is None:
            how = "one attention call a sample" if name == PACKED else "the attention mask"
            return Layout(True, name, original, f"no padding; samples kept apart by {how}, proved on this model", tried)
        refused.append(f"{name}: {problem}")
    text_model.set_attn_implementation(original)
    reason = f"packed rows are not right on this model ({'; '.join(dict.fromkeys(refused))})"
    if wanted:
        raise ModelError(f"batch.padding_free is set, but {reason}", hint="leave it out, or set it to false")
    if not media:
        return Layout(False, original, original, f"padding, since {reason}", backbone)
    return _padded(original, backbone, samples, reference, f"since {reason}")


@contextmanager
def usual_attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Within the block the language model attends as it did when it was loaded, so that an engine can generate with it;
    after it, every part of the model as before.

    Args:
        model: One for which a layout was chosen.
        name: The layout's `usual`.
    """
    before = [
        (part, str(part.config._attn_implementation)) for part in model.modules() if isinstance(part, PreTrainedModel)
    ]
    _text_model(model).set_attn_implementation(name)
    try:
        yield
    finally:
        for part, attention in before:  # a part's setting is also that of the parts in it, which come later
            part.set_attn_implementation(attention)


def _padded(attention: str, backbone: Backbone, samples: list[Sample], reference: Tensor, why: str) -> Layout:
    """Padding, where media of several samples may lie in one batch; else one sample a forward pass."""
    try:
        states = _padded_states(backbone, samples)
        same = _distance(states, reference) <= 5e-4 if states.dtype == torch.float32 else True
    except _REFUSALS:
        same = False
    if same:
        return Layout(False, attention, attention, f"padding, {why}", backbone)
    reason = f"one sample a forward pass, since media of several are not told apart; no packed rows, {why}"
    return Layout(False, attention, attention, reason, backbone, one_by_one=True)


def _text_model(model: PreTrainedModel) -> PreTrainedModel:
    """Whose attention is set: towers keep their own, which is not causal."""
    inner = language_model(model)
    return inner if is_composite(model) and isinstance(inner, PreTrainedModel) else model


def _problem(
    text_model: PreTrainedModel, backbone: Backbone, attention: str, samples: list[Sample], reference: Tensor
) -> str | None:
    """Why this attention may not be used for packed rows, or None.

    Two proofs. Changing the first and last sample must not change those between them, beyond rounding: no token
    attends across. And all states must be those of the samples run alone: positions and windows are right.
    """
    first, *between, last = samples
    changed = [Sample(first.ids.flip(1)), *between, Sample(last.ids.flip(1))]
    try:
        text_model.set_attn_implementation(attention)
        if text_model.config._attn_implementation != attention:
            return "this model's attention cannot be exchanged"
        packed, disturbed = _states(backbone, samples), _states(backbone, changed)
    except _REFUSALS as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}" if str(error) else "refused"
    rounding = 1e-4 if packed.dtype == torch.float32 else 2e-2
    middle = slice(first.ids.shape[1], -last.ids.shape[1])
    leak = _distance(disturbed[:, middle], packed[:, middle])
    if not leak <= rounding:
        return f"samples see each other (states move by {leak:.1%})"
    apart = _distance(packed, reference)
    if not apart <= 5.0 * rounding:
        return f"states differ from those of single samples by {apart:.1%}"
    return None


def _distance(states: Tensor, reference: Tensor) -> float:
    """Largest relative L2 distance of any position's state."""
    difference = (states.float() - reference.float()).norm(dim=-1)
    return float((difference / reference.float().norm(dim=-1).clamp_min(1e-12)).max())


def mixed_samples(model: PreTrainedModel, media: Sequence[Sample]) -> list[Sample]:
    """Random texts, and the given samples between them."""
    config = text_config(model)
    device = next(input_embeddings(model).parameters()).device
    generator = torch.Generator().manual_seed(0)
    special = torch.tensor(sorted(special_ids(model)), dtype=torch.int64)
    texts = []
    for length in _LENGTHS:
        ids = torch.randint(0, int(config.vocab_size), (1, length), generator=generator)
        # An id that stands for a picture would ask for one.
        texts.append(Sample(torch.where(torch.isin(ids, special), _plain_id(special), ids).to(device)))
    given = [Sample(item.ids.to(device), item.media and item.media.to(device)) for item in media]
    return [texts[0], *given[::2], texts[1], *given[1::2], texts[2]]


def _plain_id(special: Tensor) -> Tensor:
    taken = set(special.tolist())
    return torch.tensor(next(number for number in range(3, 1000) if number not in taken))


def _one_by_one(backbone: Backbone, samples: list[Sample]) -> Tensor:
    return torch.cat([_states(backbone, [sample], alone=True) for sample in samples], dim=1)


@torch.no_grad()
def _states(backbone: Backbone, samples: list[Sample], *, alone: bool = False) -> Tensor:
    """The states of samples in one row; of one alone, as transformers' own users would compute them."""
    return backbone.states(sample_batch(samples, alone=alone))


@torch.no_grad()
def _padded_states(backbone: Backbone, samples: list[Sample]) -> Tensor:
    """The states of samples in a row each, put back to back."""
    lengths = [sample.ids.shape[1] for sample in samples]
    width = max(lengths)
    ids = torch.cat([F.pad(sample.ids, (0, width - length)) for sample, length in zip(samples, lengths, strict=True)])
    packed = sample_batch(samples)
    batch = replace(
        packed,
        input_ids=ids,
        position_ids=torch.arange(width, device=ids.device).expand(len(samples), -1),
        boundaries=None,
        attention_mask=torch.arange(width, device=ids.device) < torch.tensor(lengths, device=ids.device)[:, None],
    )
    states = backbone.states(batch)
    return torch.cat([row[:length] for row, length in zip(states, lengths, strict=True)])[None]


def sample_batch(samples: Sequence[Sample], *, alone: bool = False) -> Batch:
    """Samples back to back in one row; or a single one as a row with a mask. Without targets."""
    lengths = [sample.ids.shape[1] for sample in samples]
    device = samples[0].ids.device
    empty = torch.empty(0, dtype=torch.int64, device=device)
    ids = torch.cat([sample.ids for sample in samples], dim=1)
    return Batch(
        input_ids=ids,
        position_ids=torch.cat([torch.arange(length, device=device) for length in lengths])[None],
        targets=empty,
        target_index=empty,
        weights=empty.float(),
        boundaries=None if alone else (0, *accumulate(lengths)),
        attention_mask=torch.ones_like(ids, dtype=torch.bool) if alone else None,
        tokens=sum(lengths),
        origins=(_ORIGIN,) * len(samples),
        media=tuple(sample.media for sample in samples),
    )
