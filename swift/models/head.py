"""What an architecture does between its output head and its logits, found by measuring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_SPREAD = 25.0  # standard deviation of the logits that the probe provokes: soft caps of 5 to 100 bend them visibly
_TOKENS = 4
_COLUMNS = 512  # of the vocabulary, for trying candidates; the chosen one is checked on all
_NUMBERS = re.compile(r"scal|cap|mult|logit|base|hidden_size")  # fields that may hold the transform's constants


@dataclass(frozen=True, slots=True)
class HeadTransform:
    """logits = c * tanh(scale * head(states) / c), with c the soft cap; without one, scale * head(states)."""

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, raw: Tensor) -> Tensor:
        """The head's output, of any shape, to logits."""
        logits = raw * self.scale if self.scale != 1.0 else raw
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap


@torch.no_grad()
def measure_transform(model: PreTrainedModel, decoder: nn.Module, head: nn.Module) -> HeadTransform | None:
    """The transform of `model`, whose logits come from `head` on the states of `decoder`; None where none fits.

    The decoder's states are replaced, for one forward pass of a few tokens, by known random ones that make
    large logits; then the transform is the one, of those that the configuration has the numbers for, that
    gives the logits which the model gave. So it also proves that logits depend on nothing else.
    """
    probe = _Probe(head)
    training = model.training
    handle = decoder.register_forward_hook(probe)
    try:
        model.eval()
        ids = torch.arange(1, _TOKENS + 1, device=next(model.get_input_embeddings().parameters()).device)[None]
        logits = model(input_ids=ids, use_cache=False).get("logits")
    finally:
        handle.remove()
        model.train(training)
    if probe.states is None or not isinstance(logits, Tensor):
        return None
    raw = head(probe.states)
    if raw.shape != logits.shape:
        return None
    return _fit(raw.cpu().double(), logits.cpu().double(), model.config, _tolerance(raw.dtype))


class _Probe:
    """A forward hook that puts random states in the place of the decoder's, and keeps them."""

    def __init__(self, head: nn.Module) -> None:
        self.head = head
        self.states: Tensor | None = None

    def __call__(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        from transformers.utils.generic import ModelOutput

        if not isinstance(output, ModelOutput) or not isinstance(output.get("last_hidden_state"), Tensor):
            return output
        old = output["last_hidden_state"]
        if any(weight.dim() == 2 and weight.shape[-1] != old.shape[-1] for weight in self.head.parameters()):
            return output  # something stands between: never replaced, so never derivable
        generator = torch.Generator().manual_seed(0)
        states = torch.randn(old.shape, generator=generator).to(old.device, old.dtype)
        spread = self.head(states).float().std()
        self.states = (states.float() * (_SPREAD / spread.clamp_min(1e-6))).to(old.dtype)
        return type(output)(**{**output, "last_hidden_state": self.states})


def _fit(raw: Tensor, logits: Tensor, config: PreTrainedConfig, tolerance: float) -> HeadTransform | None:
    few, wanted = raw[..., :_COLUMNS], logits[..., :_COLUMNS]
    declared = min(_declared(config), key=lambda transform: _error(transform, few, wanted))
    measured = HeadTransform(float((raw * logits).sum() / (raw * raw).sum()))  # a constant that is in the code only
    return next((fit for fit in (declared, measured) if _error(fit, raw, logits) <= tolerance), None)


def _error(transform: HeadTransform, raw: Tensor, logits: Tensor) -> float:
    """Largest difference, relative to the largest logit."""
    return float((transform(raw) - logits).abs().max() / logits.abs().max().clamp_min(1e-12))


def _declared(config: PreTrainedConfig) -> Iterator[HeadTransform]:
    """What the configuration's numbers allow; simple ones first, since the first of equals wins."""
    values = [float(v) for v in _numbers(config.get_text_config(decoder=True).to_dict()) if v > 0]
    ratios = [a / b for a in values for b in values]
    scales = dict.fromkeys([1.0, *values, *(1 / v for v in values), *ratios])
    for cap in (None, *dict.fromkeys(values)):
        for scale in scales:
            yield HeadTransform(scale, cap)


def _numbers(values: dict[str, Any]) -> list[float]:
    numbers = [v for name, v in values.items() if _NUMBERS.search(name) and isinstance(v, int | float)]
    return [v for v in numbers if not isinstance(v, bool)]


def _tolerance(dtype: torch.dtype) -> float:
    """16-bit models round before and after each operation."""
    return 1e-4 if dtype == torch.float32 else 3 * torch.finfo(dtype).eps
