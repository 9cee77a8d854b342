"""From a plan to an engine that answers."""

from __future__ import annotations

from pathlib import Path

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from swift.chat.codec import Codec, make_codec
from swift.engines.adapters import AdapterSwitch, attach
from swift.engines.folders import Plan
from swift.engines.merging import merge
from swift.engines.packed import can_pack, pack_linears
from swift.engines.shape import context_length
from swift.engines.transformers import Limits, TransformersEngine
from swift.hub import Located, locate
from swift.models.load import load_config, load_model, load_tokenizer, resolve_device, resolve_dtype


def load_engine(plan: Plan, *, limits: Limits, merge_lora: bool = False, pack: bool = True) -> TransformersEngine:
    """Load model, tokenizer and adapters.

    Args:
        plan: What to load.
        limits: Batch limits.
        merge_lora: Add the adapter to the weights instead of computing it beside them. Only with one adapter.
        pack: On a CPU with bfloat16 units, keep the weights in the layout that makes decoding fast.

    Raises:
        SwiftError: Something is missing or does not fit; see the parts.
    """
    model, tokenizer = load_base(plan)
    codec = codec_of(plan, model, tokenizer)
    switch: AdapterSwitch | None = None
    if plan.adapters and merge_lora:
        for folder in plan.adapters.values():
            model = merge(model, folder)
    elif plan.adapters:
        switch = attach(model, plan.adapters, dtype=model.dtype)
    note = ""
    if pack and can_pack(model.device, model.dtype):
        note = f", {pack_linears(model)} weights packed for the CPU"
    return TransformersEngine(model, codec, plan.chat, switch=switch, limits=limits, note=note)


def load_base(plan: Plan) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model, and the tokenizer that training used where a checkpoint carries one."""
    located = locate(plan.model)
    device = resolve_device(plan.model.device)
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    dtype = resolve_dtype(plan.model, config, device)
    model = load_model(located, plan.model, device=device, dtype=dtype, attention=plan.model.attention)
    own = located if plan.tokenizer is None else Located(plan.tokenizer, "folder", str(plan.tokenizer), None)
    return model, load_tokenizer(own, trust_remote_code=plan.model.trust_remote_code)


def codec_of(plan: Plan, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Codec:
    """The text side, with the stop tokens of the checkpoint's generation config."""
    return make_codec(
        tokenizer,
        plan.chat,
        stop_ids=stop_ids(model, plan.tokenizer),
        positions=context_length(model),
    )


def stop_ids(model: PreTrainedModel, checkpoint: Path | None) -> tuple[int, ...]:
    """`eos_token_id` of the checkpoint's generation config, else of the model's."""
    config = model.generation_config
    if checkpoint is not None and (checkpoint / "generation_config.json").is_file():
        config = GenerationConfig.from_pretrained(str(checkpoint))
    ends = config.eos_token_id if config is not None else None
    if ends is None:
        return ()
    return (int(ends),) if isinstance(ends, int) else tuple(int(end) for end in ends)
