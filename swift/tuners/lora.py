"""LoRA through PEFT, with our layer for `nn.Linear`, and its beginnings that look at training rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from swift.config.tuner import LoraConfig
from swift.errors import ConfigError
from swift.models.vocabulary import token_modules
from swift.tuners.attach import add_adapter, use_our_layer
from swift.tuners.loftq import make_up_for_rounding
from swift.tuners.targets import full_modules, target_layers, target_parameters

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

LOOKING = ("eva", "corda", "lora_ga", "qera")
"""Initialisations that look at training rows."""

MAKING_UP = ("loftq", "qera")
"""Initialisations that make up for quantization."""


@dataclass(frozen=True, slots=True)
class Look:
    """Training rows, for initialisations that look at them.

    Attributes:
        forward: Takes one row through the model, without gradients: one function a row.
        backward: Adds the gradient of all rows' loss.
    """

    forward: Sequence[Callable[[], None]]
    backward: Callable[[], None]


def add_lora(
    model: PreTrainedModel,
    config: LoraConfig,
    new_tokens: Sequence[int] = (),
    look: Look | None = None,
    weights: Path | None = None,
) -> PeftModel:
    """Freeze `model` and add a new adapter called `default`.

    Args:
        model: The base model.
        config: Rank, layers and so on.
        new_tokens: Ids whose rows of the embeddings and the head are trained, too.
        look: Rows, for initialisations that need some.
        weights: Folder of the model's original weights, for loftq and qera.

    Raises:
        ConfigError: No layer matches, or the initialisation is unknown or has no rows to look at.
    """
    kind = init_of(config.init)
    if kind in MAKING_UP and weights is None:
        raise ConfigError(f"tuner.init {kind} needs the original weights' files", hint="--init_weights true")
    if kind in LOOKING and look is None:
        raise ConfigError(
            f"tuner.init {kind} looks at training rows, and there are none here", hint="--init_weights true"
        )
    peft_config = _peft_config(model, config, new_tokens)
    if look is not None and kind == "corda":
        _prepare_corda(model, peft_config, look)
    elif look is not None and kind == "lora_ga":
        _prepare_lora_ga(model, peft_config, look)
    tuned = add_adapter(model, peft_config, getattr(torch, config.dtype))
    if look is not None and kind == "eva":
        _initialize_eva(tuned, look)
    if kind in MAKING_UP and weights is not None:
        make_up_for_rounding(tuned, weights, look.forward if look is not None else ())
    return tuned


def init_of(name: str) -> Any:
    """PEFT's own values; it says which ones it knows."""
    return {"true": True, "false": False, "lora-ga": "lora_ga"}.get(name.lower(), name)


def _peft_config(model: PreTrainedModel, config: LoraConfig, new_tokens: Sequence[int]) -> Any:
    from peft import LoraConfig as PeftLoraConfig

    kind = init_of(config.init)
    peft_config = PeftLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=target_layers(model, config),
        target_parameters=target_parameters(model, config) or None,
        modules_to_save=full_modules(model, config) or None,
        bias=config.bias,
        use_rslora=config.rslora,
        use_dora=config.dora,
        init_lora_weights=True if kind in MAKING_UP else kind,
        trainable_token_indices={name: list(new_tokens) for name in token_modules(model)} if new_tokens else None,
        task_type="CAUSAL_LM",
        **_looking_options(kind),
    )
    use_our_layer(peft_config)
    return peft_config


def _looking_options(kind: Any) -> dict[str, Any]:
    from peft.tuners.lora.config import CordaConfig, EvaConfig, LoraGAConfig

    if kind == "eva":
        return {"eva_config": EvaConfig()}
    if kind == "corda":
        return {"corda_config": CordaConfig(corda_method="kpm", verbose=False)}
    return {"lora_ga_config": LoraGAConfig()} if kind == "lora_ga" else {}


def _prepare_corda(model: PreTrainedModel, peft_config: Any, look: Look) -> None:
    """CorDA (arXiv 2406.05223): the covariance of each layer's inputs."""
    from peft.tuners.lora.corda import preprocess_corda

    def run() -> None:
        for row in look.forward:
            row()

    preprocess_corda(model, peft_config, run_model=run)


def _prepare_lora_ga(model: PreTrainedModel, peft_config: Any, look: Look) -> None:
    """LoRA-GA (arXiv 2407.05000): the gradient of each layer's weight."""
    from peft.tuners.lora.loraga import preprocess_loraga

    with warnings.catch_warnings():
        # Its hooks count passes; in the lowest layers the input needs no gradient, which torch remarks on.
        warnings.filterwarnings("ignore", "Full backward hook is firing")
        preprocess_loraga(model, peft_config, look.backward)


def _initialize_eva(tuned: PeftModel, look: Look) -> None:
    """EVA (arXiv 2410.07170): the right singular vectors of each layer's inputs."""
    from peft import initialize_lora_eva_weights

    initialize_lora_eva_weights(
        tuned,
        dataloader=[{"row": row} for row in look.forward],
        forward_fn=lambda _, inputs: inputs["row"](),
        prepare_model_inputs_fn=None,
        prepare_layer_inputs_fn=lambda states, *_: states[0].reshape(-1, states[0].shape[-1]),
        show_progress_bar=False,
    )
