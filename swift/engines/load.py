"""From a plan to an engine that answers."""

from __future__ import annotations

from dataclasses import replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from swift.chat.load import load_codec
from swift.engines.adapters import Switch, attach_any, require_together
from swift.engines.driver import Driver
from swift.engines.folders import Plan
from swift.engines.hot import HotSwitch
from swift.engines.lanes import Limits
from swift.engines.merging import merge, quantized_error, require_mergeable
from swift.engines.packed import can_pack, pack_linears
from swift.engines.transformers import TransformersEngine
from swift.hub import Located
from swift.models.auto import GENERATING, Ending
from swift.models.device import dtype_warning
from swift.models.gguf import as_folder
from swift.models.load import load_config, load_model, load_tokenizer, resolve_device, resolve_dtype
from swift.models.locate import locate_model, template_hint
from swift.models.quantize.method import describe
from swift.models.structure import embedding_rows
from swift.models.vocabulary import fit_vocabulary


def load_engine(
    plan: Plan,
    *,
    limits: Limits,
    merge_lora: bool = False,
    pack: bool = True,
    hot: bool = False,
) -> TransformersEngine:
    """Load model, tokenizer and adapters.

    Args:
        plan: What to load.
        limits: Batch limits.
        merge_lora: Add the adapter to the weights instead of computing it beside them. Only with one adapter.
        pack: On a CPU with bfloat16 units, keep the weights in the layout that makes decoding fast.
        hot: Adapters can be loaded and unloaded later.

    Raises:
        SwiftError: Something is missing or does not fit; see the parts.
    """
    located = locate_model(plan.model)
    require_usable(plan, located, merge_lora=merge_lora)
    model, tokenizer = load_base(plan, located)
    hint = template_hint(plan.model, model.config, tokenizer)
    codec = load_codec(
        as_folder(located),
        tokenizer,
        model.config,
        plan.chat,
        checkpoint=plan.tokenizer,
        media=plan.media,
        trust_remote_code=plan.model.trust_remote_code,
        recommended=hint,
    )
    switch: Switch | None = None
    if plan.adapters and merge_lora:
        for folder in plan.adapters.values():
            model = merge(model, folder)
    elif plan.adapters:
        switch = attach_any(model, plan.adapters, dtype=model.dtype)
    warning = dtype_warning(model.dtype, model.device, model.config)
    note = "" if warning is None else f" ({warning})"
    if (held := describe(plan.model, model.config)) is not None:
        note += f", weights: {held}"
    pack = pack and can_pack(model.device, model.dtype)
    if hot:
        switch = HotSwitch(model, switch, pack=pack)
    if pack:
        note += f", {pack_linears(model)} weights packed for the CPU"
    return TransformersEngine(model, codec, plan.chat, switch=switch, limits=limits, note=note)


def load_live(plan: Plan, *, limits: Limits, merge_lora: bool = False, hot: bool = False) -> Driver:
    """The same engine in a thread of its own, for requests that come and go."""
    return Driver(load_engine(plan, limits=replace(limits, live=True), merge_lora=merge_lora, hot=hot))


def require_usable(plan: Plan, located: Located, *, merge_lora: bool) -> None:
    """Make sure, before weights are read, that the adapters can be merged, or loaded beside each other."""
    if not plan.adapters:
        return
    if not merge_lora:
        require_together(plan.adapters)
        return
    require_mergeable(plan.adapters.values())
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    if describe(plan.model, config) is not None:
        raise quantized_error()


def load_base(
    plan: Plan, located: Located, ending: Ending = GENERATING
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model, which is at `located`, and the tokenizer that training used where a checkpoint carries one.

    Args:
        plan: What to load.
        located: Where the model is.
        ending: What it shall end in.
    """
    device = resolve_device(plan.model.device)
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    dtype = resolve_dtype(plan.model, config, device)
    model = load_model(
        located,
        plan.model,
        device=device,
        dtype=dtype,
        attention=plan.model.attention,
        ending=ending,
    )
    own = located if plan.tokenizer is None else Located(plan.tokenizer, "folder", str(plan.tokenizer), None)
    tokenizer = load_tokenizer(own, trust_remote_code=plan.model.trust_remote_code)
    if plan.tokenizer is not None and len(tokenizer) > embedding_rows(model):
        # Tokens that a run has added need rows; a tokenizer that has always been larger than its model does not.
        before = load_tokenizer(located, trust_remote_code=plan.model.trust_remote_code)
        if len(tokenizer) > len(before):
            fit_vocabulary(model, tokenizer)
    return model, tokenizer
