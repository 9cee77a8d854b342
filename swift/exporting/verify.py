"""Proof that exported files compute what was to be exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from swift.config.model import ModelConfig
from swift.engines.shape import input_device
from swift.errors import ModelError
from swift.hub import Located
from swift.models.load import load_model
from swift.models.structure import embedding_rows, generating

_PROBE = "The quick brown fox jumps over the lazy dog. 1 + 2 = 3. Naïve café, 你好，世界! def f(x): return x ** 2"
_LONGEST = 64

BOUNDS = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest mean KL divergence in nats that rounding weights and sums to a type explains."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two sets of logits are apart.

    Attributes:
        largest: Largest absolute difference of a logit.
        divergence: Kullback-Leibler divergence of the next-token distributions in nats, mean over positions.
    """

    largest: float
    divergence: float

    def __str__(self) -> str:
        return f"largest difference of a logit {self.largest:.2g}, KL divergence {self.divergence:.2g} nats"


def probe_ids(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> Tensor:
    """A short text's ids [1, length], all of which the model knows."""
    rows = embedding_rows(model)
    ids = [number for number in tokenizer.encode(_PROBE, add_special_tokens=False) if number < rows]
    return torch.tensor([ids[:_LONGEST] or [0]])


@torch.inference_mode()
def probe_logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Logits [length, vocabulary] in float32 on the CPU."""
    logits: Tensor = generating(model)(input_ids=ids.to(input_device(model)), use_cache=False).logits[0]
    return logits.float().cpu()


def compare(expected: Tensor, found: Tensor) -> Difference:
    """The difference of logits [length, vocabulary]."""
    p, q = expected.double().log_softmax(-1), found.double().log_softmax(-1)
    divergence = (p.exp() * (p - q)).sum(-1).mean()
    return Difference(float((expected - found).abs().max()), float(divergence))


def require_equal(expected: Tensor, found: Tensor, dtype: torch.dtype, what: str) -> Difference:
    """Make sure that logits differ by no more than rounding to `dtype` explains.

    Raises:
        ModelError: They do; the numbers are named.
    """
    difference = compare(expected, found)
    bound = BOUNDS.get(dtype, BOUNDS[torch.bfloat16])
    if not difference.divergence <= bound:
        kind = str(dtype).removeprefix("torch.")
        raise ModelError(
            f"{what} is not the model that was to be exported: {difference}; {kind} explains {bound:g}",
            hint="export with --torch_dtype float32, or keep the adapter apart from the model",
        )
    return difference


def require_close(
    folder: Path, expected: Tensor, ids: Tensor, like: PreTrainedModel, config: ModelConfig
) -> Difference:
    """Load `folder` and compare its logits with `expected`.

    Args:
        expected: [length, vocabulary].
        ids: [1, length].
        like: The model that was saved: its device, type and attention are used.
        config: How the model was loaded.

    Raises:
        ModelError: The files cannot be loaded, or compute something else.
    """
    dtype = like.dtype
    again = load_model(
        Located(folder, "folder", str(folder), None),
        config,
        device=like.device,
        dtype=dtype,
        attention=like.config._attn_implementation,
    )
    return require_equal(expected, probe_logits(again, ids), dtype, "what was written")
