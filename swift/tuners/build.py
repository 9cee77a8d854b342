"""From a tuner's configuration to a model with the tuner in place: one function a technique."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from swift.config.tuner import (
    PROMPTS,
    AdaLoraConfig,
    AdapterConfig,
    BottleneckConfig,
    FreezeConfig,
    FullConfig,
    LisaConfig,
    LlamaProConfig,
    LongLoraConfig,
    LoraConfig,
    NormConfig,
    PartsConfig,
    ReftConfig,
    TokensConfig,
    TunerConfig,
)
from swift.errors import CheckpointError, ConfigError
from swift.models.attention import PACKED
from swift.models.shifted import register_shifted_attention
from swift.models.structure import language_model
from swift.tuners.adalora import RankSchedule
from swift.tuners.attach import DEFAULT, add_adapter, load_adapter, read_adapter_config
from swift.tuners.convert import beginning, write_as_update
from swift.tuners.extra import add_extra, extra_config, load_extra, save_extra
from swift.tuners.freeze import train_all, train_unfrozen
from swift.tuners.lisa import LayerSampling
from swift.tuners.llamapro import expand
from swift.tuners.lora import LOOKING, Look, add_lora, init_of
from swift.tuners.methods import method_name, peft_config, type_of
from swift.tuners.prompt import prompted, require_room, require_text
from swift.tuners.raw import RawWeights
from swift.tuners.technique import Technique

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

_CHANGES_WEIGHTS = ("pissa", "olora", "corda", "lora_ga")
"""Initialisations that take what the adapter begins with out of the weights."""

_IN_MODEL_TYPE = (NormConfig, TokensConfig, *PROMPTS)
"""Techniques whose weights are computed with as they are: they have the model's type."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where training of a tuner begins.

    Attributes:
        base: The model's id, for the adapter's files.
        adapter: Folder of an adapter to go on from.
        checkpoint: Folder of a checkpoint that is resumed; what it holds beside weights is loaded later.
        new_tokens: Ids whose embeddings are trained, too.
        seed: Of what a technique draws.
        look: Makes rows for initialisations that look at some.
        weights: Folder of the model's weights, for the initialisation that compares them with quantized ones.
    """

    base: str = ""
    adapter: Path | None = None
    checkpoint: Path | None = None
    new_tokens: Sequence[int] = ()
    seed: int = 0
    look: Callable[[], Look] | None = None
    weights: Path | None = None


def tune(model: PreTrainedModel, config: TunerConfig, start: Start) -> Technique:
    """Put the tuner into the model.

    Raises:
        ConfigError: The tuner does not fit the model.
        CheckpointError: What training goes on from is no adapter, or one of another kind.
    """
    if isinstance(config, LlamaProConfig):
        expand(model, config, expanded=start.checkpoint is not None)
        return Technique(model, adapter=False)
    if isinstance(config, LisaConfig):
        train_all(model, FullConfig(**config.model_dump(include=set(FullConfig.model_fields) - {"type"})))
        return Technique(model, adapter=False, stepwise=(LayerSampling(model, config, start.seed),))
    if isinstance(config, FreezeConfig):
        train_unfrozen(model, config)
        return Technique(model, adapter=False)
    if isinstance(config, FullConfig):
        train_all(model, config)
        return Technique(model, adapter=False)
    if isinstance(config, BottleneckConfig | ReftConfig):
        return _extra(model, config, start)
    return _peft(model, config, start)


def _extra(model: PreTrainedModel, config: BottleneckConfig | ReftConfig, start: Start) -> Technique:
    source = start.checkpoint or start.adapter
    if source is None:
        extra = add_extra(model, config)
    else:
        require_kind(source, config)
        config = extra_config(source) or config  # its own places and widths count
        extra = load_extra(model, source, config)
    extra.to(getattr(torch, config.dtype))
    return Technique(model, adapter=True, write=lambda folder: save_extra(extra, config, folder, start.base))


def _peft(model: PreTrainedModel, config: AdapterConfig, start: Start) -> Technique:
    lora = config if isinstance(config, LoraConfig) else None
    changes = lora is not None and _changes_weights(lora)
    cached = isinstance(config, PROMPTS)
    kept_apart = changes or cached or isinstance(config, AdaLoraConfig)
    if cached and start.adapter is not None:
        raise ConfigError(f"an adapter of tuner.type {config.type} cannot be trained on", hint="leave --adapters out")
    if isinstance(config, PROMPTS):
        require_text(model, config.type)
        require_room(model, config.num_virtual_tokens)
    dtype = model.dtype if isinstance(config, _IN_MODEL_TYPE) else getattr(torch, config.dtype)
    source = start.adapter if kept_apart and start.checkpoint is not None else start.checkpoint or start.adapter
    if source is not None:
        require_kind(source, config)
        tuned = load_adapter(model, source, trainable=True, dtype=dtype)
        changes = False
    elif lora is not None:
        look = start.look() if start.look is not None and init_of(lora.init) in LOOKING else None
        tuned = add_lora(model, lora, start.new_tokens, look, start.weights)
    else:
        tuned = add_adapter(model, peft_config(model, config), dtype)
    if isinstance(config, LongLoraConfig):
        _shift(model, config)
    stepwise: tuple[Any, ...] = (RankSchedule(tuned),) if isinstance(config, AdaLoraConfig) else ()
    return Technique(
        tuned,
        adapter=True,
        write=_writer(tuned, start.base, beginning(tuned) if changes else None),
        stepwise=(*stepwise, *((RawWeights(tuned),) if kept_apart else ())),
        caller=(lambda backbone: prompted(backbone, model, tuned)) if cached else None,
    )


def _changes_weights(config: LoraConfig) -> bool:
    return str(init_of(config.init)).startswith(_CHANGES_WEIGHTS)


def require_kind(folder: Path, config: PartsConfig) -> None:
    """Make sure that the adapter in `folder` is one that `config` goes on with, from its files alone.

    Raises:
        ConfigError: `config` trains no adapter.
        CheckpointError: There is none, it is damaged, or of another kind.
    """
    if not isinstance(config, AdapterConfig):
        raise ConfigError(f"an adapter cannot be continued with tuner.type {config.type}", hint="--tuner_type lora")
    extra = extra_config(folder)
    saved = str(extra.type if extra is not None else read_adapter_config(folder).peft_type.value)
    wanted = _peft_type(config)
    if saved != wanted:
        raise CheckpointError(
            f"the adapter in {folder} is of the type {saved.lower()}, not {wanted.lower()}",
            hint=f"go on with its own type: {_flags_of(saved)}",
        )


def _flags_of(kind: str) -> str:
    """What chooses a technique that PEFT, or our own file, calls `kind`."""
    ours = type_of(kind)
    return f"--tuner_type peft --peft_method {kind.lower()}" if ours is None else f"--tuner_type {ours}"


def _shift(model: PreTrainedModel, config: LongLoraConfig) -> None:
    """Attention in groups, where it is ours."""
    inner: Any = language_model(model)
    attention = inner.config._attn_implementation
    if attention != PACKED:
        raise ConfigError(
            f"tuner.type longlora needs rows without padding, and the attention here is {attention}",
            hint="--tuner_type lora, or leave --attn_impl and --padding_free to themselves",
        )
    inner.set_attn_implementation(register_shifted_attention(config.group_ratio))


def _peft_type(config: AdapterConfig) -> str:
    if isinstance(config, BottleneckConfig | ReftConfig):
        return config.type
    return "LORA" if isinstance(config, LoraConfig) else method_name(config)


def _writer(tuned: PeftModel, base: str, initial: dict[str, Tensor] | None) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        tuned.peft_config[DEFAULT].base_model_name_or_path = base
        # Otherwise PEFT asks the hub whether the vocabulary was resized.
        tuned.save_pretrained(str(folder), save_embedding_layers=False)
        if initial is not None:
            write_as_update(tuned, initial, folder)

    return write
