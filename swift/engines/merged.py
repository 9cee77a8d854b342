"""A model's folder for engines that read files: with its adapters merged where they cannot stand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.chat.media.files import copy_processor
from swift.engines.folders import Plan
from swift.engines.load import load_base
from swift.engines.merging import merge, quantized_error, require_mergeable
from swift.engines.states import key_of, states_of
from swift.hub.cache import atomic_folder, cache_root
from swift.hub.located import Located, say
from swift.models.gguf import as_folder
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model, template_hint
from swift.models.quantize.checkpoint import quantization_of
from swift.models.quiet import quiet

_FORMAT = "1"  # part of the cache's key: change it whenever merging changes


@dataclass(frozen=True, slots=True)
class TextSide:
    """What is known of a model without its weights.

    Attributes:
        located: Its files.
        codec: How its text becomes tokens.
        positions: The longest sequence that its positions allow; None where they set no limit.
    """

    located: Located
    codec: Codec
    positions: int | None


def text_side(plan: Plan) -> TextSide:
    """The codec of a plan, as the engine in this process has it.

    Raises:
        SwiftError: The model cannot be found, or has no usable tokenizer or template.
    """
    located = locate_model(plan.model)
    trust = plan.model.trust_remote_code
    config = load_config(located, trust_remote_code=trust)
    own = located if plan.tokenizer is None else Located(plan.tokenizer, "folder", str(plan.tokenizer), None)
    tokenizer = load_tokenizer(own, trust_remote_code=trust)
    codec = load_codec(
        as_folder(located),
        tokenizer,
        config,
        plan.chat,
        checkpoint=plan.tokenizer,
        media=plan.media,
        trust_remote_code=trust,
        recommended=template_hint(plan.model, config, tokenizer),
    )
    positions: int | None = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return TextSide(located, codec, positions if positions is not None and positions > 0 else None)


def merged_folder(plan: Plan, located: Located) -> Path:
    """A folder with the model, its adapters merged, and the tokenizer that training used; made once, and cached.

    The weights have the type that the checkpoint has. The cache knows files by path, length and time of change.

    Raises:
        SwiftError: An adapter cannot be merged.
    """
    require_mergeable(plan.adapters.values())
    source = as_folder(located)
    folder = cache_root() / "merged" / f"{source.name[:40]}-{_key([source, *plan.adapters.values()])}"
    if folder.is_dir():
        return folder
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    if quantization_of(config) is not None:
        raise quantized_error()
    stored = config.get_text_config(decoder=True).dtype or config.dtype
    dtype = str(stored if isinstance(stored, torch.dtype) else torch.float32).removeprefix("torch.")
    update = {"dtype": dtype, "device": "cpu", "device_map": None}
    plain = Plan(plan.model.model_copy(update=update), plan.adapters, plan.chat, plan.tokenizer, plan.media)
    say(f"merging {', '.join(plan.adapters)} into {plan.model.id} (once)")
    model, tokenizer = load_base(plain, located)
    for adapter in plan.adapters.values():
        model = merge(model, adapter)
    with atomic_folder(folder) as temporary:
        with quiet():
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        copy_processor(source, temporary)
    return folder


def _key(folders: list[Path]) -> str:
    return key_of(_FORMAT, [state for folder in folders for state in states_of(folder.resolve())])
