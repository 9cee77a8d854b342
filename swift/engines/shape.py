"""The few facts about a model that generating needs."""

from __future__ import annotations

import inspect
from collections.abc import Set

import torch
from torch import nn
from transformers import PreTrainedModel

from swift.models.structure import input_embeddings, text_config


def input_device(model: PreTrainedModel) -> torch.device:
    """Where token ids must lie."""
    return next(input_embeddings(model).parameters()).device


def context_length(model: PreTrainedModel) -> int | None:
    """Tokens that the model's positions allow; None where they set no limit."""
    positions: int | None = getattr(text_config(model), "max_position_embeddings", None)
    return positions if positions is not None and positions > 0 else None


def forward_parameters(model: nn.Module) -> frozenset[str]:
    """Names of the parameters of a model's forward pass."""
    return frozenset(inspect.signature(model.forward).parameters)


def cache_parameter(parameters: Set[str]) -> str:
    """What a forward pass with these parameters calls its cache: transformers renamed it in 5.24."""
    return "cache" if "cache" in parameters else "past_key_values"
