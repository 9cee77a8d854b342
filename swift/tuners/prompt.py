"""Techniques that put something learned in front of the input: embeddings, or each layer's keys and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

from swift.batch import Batch
from swift.errors import CheckpointError, ConfigError
from swift.models.forward import Backbone
from swift.models.structure import input_embeddings, is_composite, text_config
from swift.tuners.attach import DEFAULT, load_adapter, read_adapter_config

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

_FRONTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING")
"""PEFT's names of the techniques."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """A backbone whose rows begin with what is learned.

    Attributes:
        backbone: Of the model.
        embeddings: From token ids to vectors.
        learned: Makes what is learned for so many rows.
        cached: Whether it is keys and values (prefix tuning) instead of embeddings.
        length: Positions that it takes.
    """

    backbone: Backbone
    embeddings: nn.Module
    learned: Callable[[int], Any]
    cached: bool
    length: int

    def __call__(self, batch: Batch, run: nn.Module | None = None) -> Any:
        """The output for a padded batch, without the learned positions."""
        assert batch.boundaries is None, "rows are padded where something stands in front of each"
        ids = batch.input_ids
        rows, length = ids.shape
        front = ids.new_ones(rows, self.length)
        mask = batch.attention_mask.long() if batch.attention_mask is not None else torch.ones_like(ids)
        learned = self.learned(rows)
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
    return Prompted(backbone, input_embeddings(model), tuned.get_prompt, cached, int(config.num_virtual_tokens))


@dataclass(frozen=True, slots=True)
class Front:
    """What a saved adapter puts in front of every row, worked out once.

    Attributes:
        length: Positions that it takes.
        vectors: Embeddings [length, width]; None where it is keys and values.
        states: Keys and values of each layer, [1, heads, length, head_dim] each; empty where it is embeddings.
    """

    length: int
    vectors: Tensor | None
    states: tuple[tuple[Tensor, Tensor], ...]


def is_front(folder: Path) -> bool:
    """Whether the adapter in `folder`, in PEFT's format, puts something in front of rows.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    return bool(read_adapter_config(folder).is_prompt_learning)


def behind(backbone: Backbone, model: PreTrainedModel, front: Front) -> Prompted:
    """The backbone of a model whose rows stand behind `front`."""

    def learned(rows: int) -> Tensor | Cache:
        if front.vectors is not None:
            return front.vectors.expand(rows, -1, -1)
        cache = DynamicCache(config=model.config)
        for number, (keys, values) in enumerate(front.states):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
        return cache

    return Prompted(backbone, input_embeddings(model), learned, front.vectors is None, front.length)


@torch.no_grad()
def load_front(model: PreTrainedModel, folder: Path) -> Front:
    """What the adapter saved in `folder` puts in front of rows. The model stays as it is.

    Raises:
        ConfigError: The kind is not known here, or the model takes media or other states than keys and values.
        CheckpointError: `folder` holds no adapter, or one for another model.
    """
    kind = read_adapter_config(folder).peft_type.value
    if kind not in _FRONTS:
        known = ", ".join(name.lower() for name in _FRONTS)
        raise ConfigError(f"the adapter in {folder} is of the type {kind.lower()}", hint=f"this engine runs {known}")
    require_text(model, kind.lower())
    tuned = load_adapter(model, folder, trainable=False).eval()
    length = int(tuned.peft_config[DEFAULT].num_virtual_tokens)  # type: ignore[attr-defined]
    learned: Any = tuned.get_prompt(1)
    token = torch.zeros((1, 1), dtype=torch.int64, device=model.device)
    if isinstance(learned, Tensor):
        width = int(input_embeddings(model)(token).shape[-1])
        if learned.shape[-1] != width:
            raise _unfit(folder, f"it was made for embeddings of {learned.shape[-1]} numbers, and here are {width}")
        return Front(length, learned[0].to(model.device, model.dtype), ())
    states = _states(learned)
    if not states:
        raise ConfigError(
            f"{type(model).__name__} takes no keys and values in front of every layer's own",
            hint="use an adapter that changes weights, such as LoRA",
        )
    try:
        model(input_ids=token, attention_mask=token.new_ones(1, length + 1), cache=learned, use_cache=True)
    except (RuntimeError, IndexError) as error:
        raise _unfit(folder, "its keys and values are not of this model's shape") from error
    return Front(
        length, None, tuple((k.to(model.device, model.dtype), v.to(model.device, model.dtype)) for k, v in states)
    )


def _unfit(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the adapter in {folder} does not fit this model: {why}", hint="name the model that it was trained on: --model"
    )


def _states(learned: object) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of every layer; none where a layer has others."""
    found: list[tuple[Tensor, Tensor]] = []
    for layer in learned.layers if isinstance(learned, Cache) else ():
        if not isinstance(layer, CacheLayerMixin) or layer.keys is None or layer.values is None:
            return []
        found.append((layer.keys, layer.values))
    return found


def require_text(model: PreTrainedModel, kind: str) -> None:
    """Make sure that nothing but text comes behind what is learned.

    Raises:
        ConfigError: The model takes media.
    """
    if is_composite(model):
        raise ConfigError(f"tuner.type {kind} cannot stand in front of media", hint="use --tuner_type lora")


def require_room(model: PreTrainedModel, length: int) -> None:
    """Make sure that positions are left behind what is learned.

    Raises:
        ConfigError: There are none.
    """
    positions = getattr(text_config(model), "max_position_embeddings", None)
    if positions is not None and 0 < positions <= length:
        raise ConfigError(
            f"tuner.num_virtual_tokens {length} leaves none of the model's {positions} positions for the input",
            hint="lower --num_virtual_tokens",
        )
