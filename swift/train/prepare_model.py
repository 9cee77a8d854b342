"""From configuration to a policy that can be trained and saved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from swift.chat.codec import Codec
from swift.chat.media.files import copy_processor
from swift.chat.media.samples import drawn_samples
from swift.config.runs import SftConfig
from swift.config.tuner import FreezeConfig, FullConfig, LoraConfig
from swift.errors import ConfigError
from swift.hub import Located
from swift.models.auto import import_model_code
from swift.models.causality import require_causal
from swift.models.forward import make_backbone
from swift.models.fused import Fused, fuse
from swift.models.isolation import Layout, Sample, choose_layout, mixed_samples
from swift.models.load import load_config, load_model, resolve_device, resolve_dtype
from swift.models.parts import part_modules
from swift.models.quantize.method import describe
from swift.models.quantize.qat import prepare_qat
from swift.models.quiet import quiet
from swift.models.structure import backbone, head_transform, input_embeddings, output_head
from swift.models.vocabulary import add_special_tokens, fit_vocabulary
from swift.objectives.policy import Policy
from swift.train.rng import seed_everything
from swift.types import MediaKind


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready for training.

    Attributes:
        policy: The model as objectives see it.
        base: The model without its adapter's wrapper.
        fused: Modules that compute in one operation what the architecture's own do in several.
        layout: Whether batches are padding-free, and why.
        adapter: Whether an adapter is trained; else weights.
        quantization: How the base weights are held, in words; None where they are plain numbers.
        write_weights: Saves what is trained into a folder, as plain transformers or PEFT files.
    """

    policy: Policy
    base: PreTrainedModel
    fused: Fused
    layout: Layout
    adapter: bool
    quantization: str | None
    write_weights: Callable[[Path], None]


def import_code(model_config: PreTrainedConfig) -> None:
    """Import what `prepare_model` will need for this architecture; does nothing else."""
    import peft  # noqa: F401

    import_model_code(model_config)


def prepare_model(
    config: SftConfig,
    located: Located,
    tokenizer: PreTrainedTokenizerBase,
    codec: Codec,
    *,
    checkpoint: Path | None = None,
    media: Collection[MediaKind] = (),
) -> Prepared:
    """Load, choose the batch layout, add the tuner, switch training options on.

    Args:
        checkpoint: Weights come from here when a run is resumed.
        media: Kinds of media that rows have.

    Raises:
        ModelError: The model cannot be loaded, or sees the answers that it shall predict.
    """
    device = resolve_device(config.model.device)
    weights = located
    if checkpoint is not None and not (checkpoint / "adapter_config.json").is_file():
        weights = Located(path=checkpoint, kind="folder", id=located.id, revision=None)
    hf_config = load_config(weights, trust_remote_code=config.model.trust_remote_code)
    dtype = resolve_dtype(config.model, hf_config, device)
    model = load_model(weights, config.model, device=device, dtype=dtype, attention=config.model.attention)
    if config.model.new_special_tokens:
        fit_vocabulary(model, tokenizer)
    fused = fuse(model)
    transform = head_transform(model)
    layout = _proved_layout(model, codec, config, media)
    # Seeded here, because other threads may have drawn numbers meanwhile.
    seed_everything(config.loop.seed)
    new = add_special_tokens(tokenizer, config.model.new_special_tokens)
    tuned = _tune(model, config, checkpoint, new)
    _switch_on(model, config)
    # Adapters may have replaced the head.
    policy = Policy(model=tuned, backbone=layout.backbone, head=output_head(model), transform=transform)
    adapter = isinstance(config.tuner, LoraConfig)
    _align_generation(model, codec)
    tokenizer.chat_template = codec.template.source or None
    write = _writer(tuned, model, tokenizer, located, config, adapter=adapter)
    return Prepared(policy, model, fused, layout, adapter, describe(config.model, hf_config), write)


def _switch_on(model: PreTrainedModel, config: SftConfig) -> None:
    """Recomputation of activations, and noise on the embeddings."""
    if config.loop.gradient_checkpointing:
        checkpoint_activations(model)
    checkpoint_towers(model, config.loop.vit_gradient_checkpointing)
    if config.loop.neftune_alpha is not None:
        add_embedding_noise(input_embeddings(model), config.loop.neftune_alpha)


def _proved_layout(model: PreTrainedModel, codec: Codec, config: SftConfig, media: Collection[MediaKind]) -> Layout:
    """How batches are laid out: proved, after it is proved that no token sees the answer that it shall predict."""
    samples = _media_samples(codec, config, media) if media else []
    # One text is enough where there is only text.
    tried = mixed_samples(model, samples)[: None if samples else 1]
    return choose_layout(
        model,
        require_causal(make_backbone(backbone(model)), tried),
        wanted=config.batch.padding_free,
        attention=config.model.attention,
        longest=codec.max_length,
        media=samples,
    )


def _media_samples(codec: Codec, config: SftConfig, kinds: Collection[MediaKind]) -> list[Sample]:
    """Samples with these kinds of media, for the proofs."""
    assert codec.media is not None
    drawn = drawn_samples(codec, config.chat, kinds)
    ids = [torch.from_numpy(tokens.ids.astype("int64"))[None] for tokens in drawn]
    return [Sample(row, codec.media.inputs(tokens)) for row, tokens in zip(ids, drawn, strict=True)]


def _tune(model: PreTrainedModel, config: SftConfig, checkpoint: Path | None, new_tokens: tuple[int, ...]) -> nn.Module:
    from swift.tuners.freeze import train_all, train_unfrozen

    tuner = config.tuner
    if isinstance(tuner, LoraConfig):
        from swift.tuners.lora import add_lora, load_lora

        source = checkpoint or (Path(config.adapters[0]) if config.adapters else None)
        if len(config.adapters) > 1:
            raise ConfigError("training continues from one adapter at most", hint="name one in adapters")
        if source is not None:
            return load_lora(model, source, trainable=True, dtype=tuner.dtype)
        return add_lora(model, tuner, new_tokens)
    if config.adapters:
        raise ConfigError(
            f"adapters cannot be continued with tuner.type {tuner.type}",
            hint="use tuner.type: lora, or merge them first",
        )
    if isinstance(tuner, FreezeConfig):
        train_unfrozen(model, tuner)
    elif isinstance(tuner, FullConfig):
        train_all(model, tuner)
    if config.qat.scheme != "none":
        prepare_qat(model, config.qat)
    return model


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Keep only each layer's input and compute the rest again in the backward pass (arXiv 1604.06174).

    Raises:
        ConfigError: The architecture does not offer it.
    """
    if not model.supports_gradient_checkpointing:
        raise ConfigError(
            f"{type(model).__name__} does not support gradient checkpointing", hint="--gradient_checkpointing false"
        )
    model.activation_checkpointing_enable()


def checkpoint_towers(model: PreTrainedModel, wanted: bool | None) -> None:
    """The same for the towers alone, on or off; None leaves them as the whole model is.

    Raises:
        ConfigError: A tower does not offer it.
    """
    if wanted is None:
        return
    for tower in part_modules(model)["vit"]:
        if not isinstance(tower, PreTrainedModel) or not tower.supports_gradient_checkpointing:
            raise ConfigError(
                f"{type(tower).__name__} does not support gradient checkpointing",
                hint="leave --vit_gradient_checkpointing out",
            )
        if wanted:
            tower.activation_checkpointing_enable()
        else:
            tower.activation_checkpointing_disable()


def add_embedding_noise(embeddings: nn.Module, alpha: float) -> None:
    """NEFTune (arXiv 2310.05914, algorithm 1): uniform noise of size `alpha / sqrt(length * width)` in training."""

    def noisy(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        if not module.training:
            return output
        bound = alpha / (output.shape[-2] * output.shape[-1]) ** 0.5
        return output + torch.empty_like(output).uniform_(-bound, bound)

    embeddings.register_forward_hook(noisy)


def _align_generation(model: PreTrainedModel, codec: Codec) -> None:
    """What training taught as a stop token must stop generation, wherever the checkpoint is loaded."""
    stops = sorted(codec.eos_ids)
    generation = model.generation_config
    if generation is not None:
        generation.eos_token_id = stops if len(stops) > 1 else stops[0]
        generation.pad_token_id = codec.pad_id


def _writer(
    tuned: nn.Module,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    located: Located,
    config: SftConfig,
    *,
    adapter: bool,
) -> Callable[[Path], None]:
    from peft import PeftModel

    def write(folder: Path) -> None:
        if adapter:
            assert isinstance(tuned, PeftModel)
            tuned.peft_config["default"].base_model_name_or_path = located.id
            # Otherwise PEFT asks the hub whether the vocabulary was resized.
            tuned.save_pretrained(str(folder), save_embedding_layers=False)
            generation = base.generation_config
            if generation is not None:
                generation.save_pretrained(folder)
        else:
            assert isinstance(tuned, PreTrainedModel)
            with quiet():
                tuned.save_pretrained(folder, max_shard_size=config.checkpoint.max_shard_size)
            copy_processor(located.path, folder)
        tokenizer.save_pretrained(folder)

    return write
