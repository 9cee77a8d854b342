"""Techniques that put something learned in front of the input: embeddings, or each layer's keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from swift.batch import Batch
from swift.errors import ConfigError
from swift.models.forward import Backbone
from swift.models.structure import input_embeddings, is_composite

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Prompted:
    """A backbone whose rows begin with what is learned.

    Attributes:
        backbone: Of the model.
        embeddings: From token ids to vectors.
        tuned: PEFT's model, which makes what is learned.
        cached: Whether it is keys and values (prefix tuning) instead of embeddings.
        length: Positions that it takes.
    """

    backbone: Backbone
    embeddings: nn.Module
    tuned: PeftModel
    cached: bool
    length: int

    def __call__(self, batch: Batch, run: nn.Module | None = None) -> Any:
        """The output for a padded batch, without the learned positions."""
        assert batch.boundaries is None, "rows are padded where something stands in front of each"
        ids = batch.input_ids
        rows, length = ids.shape
        front = ids.new_ones(rows, self.length)
        mask = batch.attention_mask.long() if batch.attention_mask is not None else torch.ones_like(ids)
        learned: Any = self.tuned.get_prompt(rows)
        common = {"attention_mask": torch.cat((front, mask), 1)}
        called = run or self.backbone.module
        if self.cached:
            positions = torch.arange(self.length, self.length + length, device=ids.device)[None].expand(rows, -1)
            return called(input_ids=ids, cache=learned, position_ids=positions, use_cache=True, **common)
        vectors: Tensor = self.embeddings(ids)
        output = called(
            inputs_embeds=torch.cat((learned.to(vectors.dtype), vectors), 1),
            position_ids=torch.arange(self.length + length, device=ids.device)[None].expand(rows, -1),
            use_cache=False,
            **common,
        )
        kept = "last_hidden_state" if "last_hidden_state" in output else "logits"
        output[kept] = output[kept][:, self.length :]
        return output


def prompted(backbone: Backbone, model: PreTrainedModel, tuned: PeftModel) -> Prompted:
    """The backbone of a model with a prompt technique called `default`."""
    config: Any = tuned.peft_config["default"]
    cached = config.peft_type.value == "PREFIX_TUNING"
    return Prompted(backbone, input_embeddings(model), tuned, cached, int(config.num_virtual_tokens))


def require_text(model: PreTrainedModel, kind: str) -> None:
    """Make sure that nothing but text comes behind what is learned.

    Raises:
        ConfigError: The model takes media.
    """
    if is_composite(model):
        raise ConfigError(f"tuner.type {kind} cannot stand in front of media", hint="use --tuner_type lora")
