"""Proof, on the loaded model itself, that samples which lie back to back do not see each other.

Nothing is assumed about an architecture: each layout is tried on a few random tokens and compared with the
samples run one by one through an attention that transformers itself ships.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swift.errors import ModelError
from swift.models.attention import PACKED, register_packed_attention

_LENGTHS = (7, 12, 5)


@dataclass(frozen=True, slots=True)
class Layout:
    """How batches are laid out for this model.

    Attributes:
        padding_free: Samples lie back to back in one row.
        attention: Name of the attention implementation now set on the model.
        reason: Why it is not padding-free, or how it is kept apart; for the start banner.
    """

    padding_free: bool
    attention: str
    reason: str


def choose_layout(
    model: PreTrainedModel, decoder: nn.Module, *, wanted: bool | None, attention: str, longest: int = 0
) -> Layout:
    """Find the fastest layout that is proved right, and set the model's attention accordingly.

    Args:
        wanted: True insists on padding-free, False refuses it, None takes it where it is proved.
        attention: `auto`, or the name that the user insists on.
        longest: Tokens of the longest sample that will come.

    Raises:
        ModelError: Padding-free was insisted on and no implementation keeps samples apart.
    """
    original = str(model.config._attn_implementation)
    if wanted is False:
        return Layout(False, original, "padding, as configured")
    samples = _samples(decoder)
    reference = _one_by_one(decoder, samples)
    ours = register_packed_attention()
    # Windows reach the attention as an argument; chunks are in transformers' mask only, and longer than the proof.
    chunk = getattr(model.config.get_text_config(decoder=True), "attention_chunk_size", None)
    candidates = [original] if chunk is not None and longest > chunk else [ours, original]
    candidates = candidates if attention == "auto" else [attention]
    refused = []
    for name in candidates:
        problem = _problem(model, decoder, name, samples, reference)
        if problem is None:
            how = "one attention call a sample" if name == PACKED else "the attention mask"
            return Layout(True, name, f"no padding; samples kept apart by {how}, proved on this model")
        refused.append(f"{name}: {problem}")
    model.set_attn_implementation(original)
    reason = f"packed rows are not right on this model ({'; '.join(refused)})"
    if wanted:
        raise ModelError(f"batch.padding_free is set, but {reason}", hint="leave it out, or set it to false")
    return Layout(False, original, f"padding, since {reason}")


def _problem(
    model: PreTrainedModel, decoder: nn.Module, attention: str, samples: list[Tensor], reference: Tensor
) -> str | None:
    """Why this attention may not be used for packed rows, or None.

    Two proofs. Changing the first and last sample must not change the one between them, beyond rounding: no token
    attends across. And all states must be those of the samples run alone: positions and windows are right.
    """
    changed = [samples[0].flip(1), samples[1], samples[2].flip(1)]
    try:
        model.set_attn_implementation(attention)
        if model.config._attn_implementation != attention:
            return "this model's attention cannot be exchanged"
        packed, disturbed = _packed(decoder, samples), _packed(decoder, changed)
    except (TypeError, ValueError, NotImplementedError, KeyError, RuntimeError) as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}" if str(error) else "refused"
    rounding = 1e-4 if packed.dtype == torch.float32 else 2e-2
    middle = slice(_LENGTHS[0], _LENGTHS[0] + _LENGTHS[1])
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


def _samples(decoder: nn.Module) -> list[Tensor]:
    embeddings = next(iter(decoder.parameters()))
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(decoder.config.vocab_size)  # type: ignore[union-attr, arg-type]
    return [torch.randint(0, vocabulary, (1, n), generator=generator).to(embeddings.device) for n in _LENGTHS]


@torch.no_grad()
def _one_by_one(decoder: nn.Module, samples: list[Tensor]) -> Tensor:
    states = [decoder(input_ids=ids, use_cache=False).last_hidden_state for ids in samples]
    return torch.cat(states, dim=1)


@torch.no_grad()
def _packed(decoder: nn.Module, samples: list[Tensor]) -> Tensor:
    device = samples[0].device
    lengths = torch.tensor([0, *(ids.shape[1] for ids in samples)], dtype=torch.int32, device=device)
    boundaries = lengths.cumsum(0, dtype=torch.int32)
    output = decoder(
        input_ids=torch.cat(samples, dim=1),
        position_ids=torch.cat([torch.arange(ids.shape[1], device=device) for ids in samples])[None],
        use_cache=False,
        cu_seq_lens_q=boundaries,
        cu_seq_lens_k=boundaries,
        max_length_q=max(_LENGTHS),
        max_length_k=max(_LENGTHS),
    )
    states: Tensor = output.last_hidden_state
    return states
