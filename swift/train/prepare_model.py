"""From configuration to a policy that can be trained and saved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from swift.batch import Batch
from swift.chat.codec import Codec
from swift.chat.media.files import copy_processor
from swift.chat.media.samples import drawn_samples
from swift.config.sft import SftConfig
from swift.config.tuner import PROMPTS
from swift.errors import ConfigError
from swift.hub import Located
from swift.models.auto import import_model_code
from swift.models.causality import require_causal
from swift.models.compiled import compile_blocks
from swift.models.forward import Caller, make_backbone
from swift.models.fused import Fused, fuse
from swift.models.gguf import as_folder
from swift.models.isolation import Layout, Sample, choose_layout, mixed_samples
from swift.models.load import load_config, load_model, resolve_device, resolve_dtype
from swift.models.parts import part_modules
from swift.models.quantize.method import describe, keep_trainable
from swift.models.quantize.qat import prepare_qat
from swift.models.quiet import quiet
from swift.models.structure import backbone, head_transform, input_embeddings, output_head
from swift.models.vocabulary import add_special_tokens, fit_vocabulary
from swift.objectives.policy import Policy
from swift.train.look import look_at
from swift.train.rng import seed_everything
from swift.tuners.build import Start, tune
from swift.tuners.lora import Look
from swift.tuners.technique import Technique
from swift.types import MediaKind

LookAt = Callable[[], Look]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready for training.

    Attributes:
        policy: The model as objectives see it.
        base: The model without its adapter's wrapper.
        fused: Modules that compute in one operation what the architecture's own do in several.
        layout: Whether batches are padding-free, and why.
        technique: The tuner in the model.
        quantization: How the base weights are held, in words; None where they are plain numbers.
        write_weights: Saves what is trained into a folder, as plain transformers or PEFT files.
        compiled: Decoder layers that are compiled when they are first called.
    """

    policy: Policy
    base: PreTrainedModel
    fused: Fused
    layout: Layout
    technique: Technique
    quantization: str | None
    write_weights: Callable[[Path], None]
    compiled: int = 0


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
    rows: Callable[[], list[Batch]] | None = None,
) -> Prepared:
    """Load, choose the batch layout, add the tuner, switch training options on.

    Args:
        checkpoint: Weights come from here when a run is resumed.
        media: Kinds of media that rows have.
        rows: The first training rows, a batch each, for initialisations that look at some.

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
    keep_trainable(model)
    if config.model.new_special_tokens:
        fit_vocabulary(model, tokenizer)
    fused = fuse(model)
    layout = _proved_layout(model, codec, config, media)
    # Seeded here, because other threads may have drawn numbers meanwhile.
    seed_everything(config.loop.seed)
    new = add_special_tokens(tokenizer, config.model.new_special_tokens)
    transform = head_transform(model)
    looking = None if rows is None else partial(look_at, model, layout, transform, rows)
    technique = tune(model, config.tuner, _start(config, located, checkpoint, new, looking))
    if config.qat.scheme != "none":
        prepare_qat(model, config.qat)
    switch_on(model, config)
    compiled = compile_blocks(model) if config.loop.compile_blocks else 0
    caller: Caller = layout.backbone if technique.caller is None else technique.caller(layout.backbone)
    # Adapters may have replaced the head.
    policy = Policy(model=technique.model, backbone=caller, head=output_head(model), transform=transform)
    _align_generation(model, codec)
    tokenizer.chat_template = codec.template.source or None
    write = _writer(technique, model, tokenizer, located, config)
    return Prepared(policy, model, fused, layout, technique, describe(config.model, hf_config), write, compiled)


def switch_on(model: PreTrainedModel, config: SftConfig) -> None:
    """Recomputation of activations, and noise on the embeddings.

    Raises:
        ConfigError: The architecture does not offer it.
    """
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
        wanted=False if isinstance(config.tuner, PROMPTS) else config.batch.padding_free,
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


def _start(
    config: SftConfig, located: Located, checkpoint: Path | None, new_tokens: tuple[int, ...], look: LookAt | None
) -> Start:
    if len(config.adapters) > 1:
        raise ConfigError("training continues from one adapter at most", hint="name one in adapters")
    return Start(
        base=located.id,
        adapter=Path(config.adapters[0]) if config.adapters else None,
        checkpoint=checkpoint,
        new_tokens=new_tokens,
        seed=config.loop.seed,
        look=look,
        weights=as_folder(located),
    )


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
    technique: Technique,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    located: Located,
    config: SftConfig,
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        if technique.write is not None:
            technique.write(folder)
            generation = base.generation_config
            if generation is not None:
                generation.save_pretrained(folder)
        else:
            with quiet():
                base.save_pretrained(folder, max_shard_size=config.checkpoint.max_shard_size)
            copy_processor(located.path, folder)
        tokenizer.save_pretrained(folder)

    return write
