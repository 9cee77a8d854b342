"""From a plan to an engine that gives vectors, labels or scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.config.encoding import EncodingConfig
from swift.engines.adapters import Switch, attach_any
from swift.engines.encoding.engine import EncoderEngine, Finish
from swift.engines.encoding.facts import Activation, Facts, Pooling, read_facts, task_of
from swift.engines.encoding.heads import Classifier, Embedder, Head, Judge, load_dense
from swift.engines.encoding.inputs import Inputs
from swift.engines.encoding.saved import saved_head
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_base, require_usable
from swift.engines.merging import merge
from swift.engines.shape import context_length, input_device
from swift.errors import ConfigError
from swift.hub import Located
from swift.models.auto import Ending, Purpose
from swift.models.device import dtype_warning
from swift.models.gguf import as_folder
from swift.models.load import load_config
from swift.models.locate import locate_model, template_hint
from swift.models.structure import backbone, embedding_rows, head_transform, text_config
from swift.types import Ability, Task

_KNOWN_LENGTH = 1 << 30
"""Tokenizers that know no limit say so with a number beyond this."""


@dataclass(frozen=True)
class Found:
    """A checkpoint before its weights are read.

    Attributes:
        located: Where it is.
        config: Its configuration.
        facts: What its files say.
        causal: Whether tokens see only what is before them.
        task: What it does.
    """

    located: Located
    config: PreTrainedConfig
    facts: Facts
    causal: bool
    task: Task


def find(plan: Plan, options: EncodingConfig) -> Found:
    """What a plan's model does, from its files alone.

    Raises:
        SwiftError: It cannot be found, or its files cannot be used.
    """
    located = locate_model(plan.model)
    folder = as_folder(located)
    facts = read_facts(folder, options)
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    causal = _is_causal(config)
    task = task_of(
        facts,
        options,
        labels=config.num_labels or 0,
        causal=causal,
        bare=_is_bare(config, facts.architecture),
        template=_has_template(folder),
    )
    return Found(located, config, facts, causal, task)


def load_encoder(
    plan: Plan,
    options: EncodingConfig,
    *,
    limits: Limits,
    merge_lora: bool = False,
    found: Found | None = None,
    longest: int | None = None,
    strict: bool = False,
) -> EncoderEngine:
    """Load model, tokenizer and adapters.

    Args:
        plan: What to load.
        options: What the model is used for.
        limits: Batch limits.
        merge_lora: Add the adapter to the weights instead of computing it beside them.
        found: As of `find`, where that is known already.
        longest: Tokens that a prompt may have at most, where the model takes more.
        strict: Refuse special tokens in pairs that are shown as a chat.

    Raises:
        SwiftError: Something is missing or does not fit; see the parts.
    """
    found = found or find(plan, options)
    _require_decoder_or_encoder(found)
    require_usable(plan, found.located, merge_lora=merge_lora)
    ending = _ending(found, plan.adapters)
    model, tokenizer = load_base(plan, found.located, ending)
    codec = _codec(plan, found, model, tokenizer)
    # What the whole model does to its head's output is measured on the bare one.
    head, how = _head(found, model, codec, options, ending.purpose)
    model, switch = _attached(plan, model, merge_lora=merge_lora)
    alone = _needs_single_rows(model, head)
    ability = _ability(found, model, tokenizer, longest)
    return EncoderEngine(
        head,
        _inputs(found, model, tokenizer, codec, plan, options, ability, head, strict=strict),
        _finish(found, model, options, head),
        ability,
        device=input_device(model),
        pad_id=codec.pad_id if model.config.pad_token_id is None else int(model.config.pad_token_id),
        switch=switch,
        limits=replace(limits, rows=1) if alone else limits,
        description=_described(model, found.task, how, alone=alone),
    )


def _codec(plan: Plan, found: Found, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Codec:
    return load_codec(
        as_folder(found.located),
        tokenizer,
        model.config,
        plan.chat,
        checkpoint=plan.tokenizer,
        trust_remote_code=plan.model.trust_remote_code,
        recommended=template_hint(plan.model, model.config, tokenizer),
    )


def _attached(plan: Plan, model: PreTrainedModel, *, merge_lora: bool) -> tuple[PreTrainedModel, Switch | None]:
    """The model with the plan's adapters in its weights, or beside them."""
    if not plan.adapters:
        return model, None
    if merge_lora:
        for folder in plan.adapters.values():
            model = merge(model, folder)
        return model, None
    switch = attach_any(model, plan.adapters, dtype=model.dtype)
    _require_no_fronts(switch)
    return model, switch


def _is_causal(config: PreTrainedConfig) -> bool:
    """Whether an architecture was made to generate: those made to fill in blanks must be told to."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MULTIMODAL_LM_MAPPING

    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or type(config) in MODEL_FOR_MULTIMODAL_LM_MAPPING
    return known and bool(config.to_dict().get("is_decoder", True))


def _is_bare(config: PreTrainedConfig, architecture: str) -> bool:
    """Whether transformers knows a class as one without a head, or with one that fills in blanks.

    Names alone do not tell: checkpoints with code of their own call models so that answer.
    """
    from transformers.models.auto import modeling_auto as auto

    tables = (auto.MODEL_MAPPING_NAMES, auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    named = [table.get(config.model_type) for table in tables]
    return any(architecture == name or (type(name) is tuple and architecture in name) for name in named)


def _has_template(folder: Path) -> bool:
    file = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (file.is_file() and b'"chat_template"' in file.read_bytes())


def _require_decoder_or_encoder(found: Found) -> None:
    if found.config.is_encoder_decoder:
        raise ConfigError(
            f"{found.located.id} reads with one part and writes with another, which gives no vectors or scores here",
            hint="use a model that is an encoder or a decoder",
        )


def _require_no_fronts(switch: Switch) -> None:
    fronts = [name for name in switch.names if switch.front(name) is not None]
    if fronts:
        raise ConfigError(
            f"the adapter {fronts[0]} stands in front of rows, which is for models that answer",
            hint="use an adapter that changes weights, such as LoRA",
        )


def _ending(found: Found, adapters: Mapping[str, Path]) -> Ending:
    """What the model must end in. A head beside the weights counts only where they have none of their own."""
    if found.task == "embed":
        return Ending() if found.facts.generates else Ending("states", may_lack=("pooler.",))
    labels, modules = saved_head(adapters)
    if found.task == "rerank" and found.facts.generates and not modules:
        return Ending()
    return Ending("labels", None if found.facts.classifies else labels, tuple(f"{name}." for name in modules))


def _head(
    found: Found, model: PreTrainedModel, codec: Codec, options: EncodingConfig, purpose: Purpose
) -> tuple[Head, str]:
    """What makes the numbers, and that in words."""
    if found.task == "embed":
        pooling = _pooling(found, options)
        dense = [load_dense(folder).to(input_device(model)) for folder in found.facts.dense]
        return Embedder(_states(model, purpose), pooling, dense), f"vectors by {pooling} pooling"
    if purpose == "labels":
        return Classifier(model), f"a head with {model.config.num_labels} outputs"
    yes, no = (_token(codec, text) for text in (options.yes, options.no))
    return Judge(
        model, backbone(model), head_transform(model), yes=yes, no=no
    ), f"{options.yes!r} against {options.no!r}"


def _states(model: PreTrainedModel, purpose: Purpose) -> nn.Module:
    """The part that ends in hidden states."""
    inner = model if purpose == "states" else backbone(model)
    if purpose == "tokens" and inner is model:
        raise ConfigError(f"{type(model).__name__} has no part that ends in hidden states, so no vectors can be had")
    return inner


def _pooling(found: Found, options: EncodingConfig) -> Pooling:
    if options.pooling != "auto":
        return options.pooling
    return found.facts.pooling or ("last" if found.causal else "mean")


def _token(codec: Codec, text: str) -> int:
    ids = codec.encode(text)
    if len(ids) != 1:
        raise ConfigError(
            f"{text!r} is not one token of this model but {len(ids)}",
            hint="name others with --yes_token and --no_token",
        )
    return ids[0]


def _needs_single_rows(model: PreTrainedModel, head: Head) -> bool:
    """Whether rows cannot stand side by side: nothing would tell the head where they end."""
    if isinstance(head, Judge):
        return head.alone
    # Classifiers over decoders look for the last token that is not padding.
    return isinstance(head, Classifier) and model.config.pad_token_id is None and _is_causal(model.config)


def _ability(found: Found, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, most: int | None) -> Ability:
    limits = [_positions(model), found.facts.longest, most]
    if 0 < tokenizer.model_max_length < _KNOWN_LENGTH:
        limits.append(int(tokenizer.model_max_length))
    longest = min((limit for limit in limits if limit), default=None)
    labels: tuple[str, ...] = ()
    if found.task == "classify":
        names: dict[Any, str] = model.config.id2label or {}
        labels = tuple(names[number] for number in sorted(names))
    return Ability(found.task, labels, _width(found, model) if found.task == "embed" else 0, longest)


def _width(found: Found, model: PreTrainedModel) -> int:
    """Length of vectors."""
    if found.facts.dense:
        last = [layer for layer in load_dense(found.facts.dense[-1]) if isinstance(layer, nn.Linear)]  # type: ignore[attr-defined]
        return last[-1].out_features
    return int(text_config(model).hidden_size)


def _positions(model: PreTrainedModel) -> int | None:
    """Tokens that positions allow; some architectures begin to count behind the padding token's number."""
    limit = context_length(model)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.num_embeddings - module.padding_idx - 1
    return limit


def _inputs(
    found: Found,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    codec: Codec,
    plan: Plan,
    options: EncodingConfig,
    ability: Ability,
    head: Head,
    *,
    strict: bool,
) -> Inputs:
    chat = options.pair_form == "chat" or (options.pair_form == "auto" and isinstance(head, Judge))
    return Inputs(
        found.task,
        codec,
        plan.chat,
        longest=ability.longest,
        vocabulary=embedding_rows(model),
        types="token_type_ids" in tokenizer.model_input_names,
        judge=found.task == "rerank" and chat,
        instruction=options.instruction,
        prefix=found.facts.prefix if found.task == "embed" else "",
        lower=found.facts.lower,
        strict=strict,
    )


def _finish(found: Found, model: PreTrainedModel, options: EncodingConfig, head: Head) -> Finish:
    if found.task == "embed":
        said = found.facts.normalize
        normalize = (True if said is None else said) if options.normalize is None else options.normalize
        return Finish(normalize=normalize, dimensions=found.facts.dimensions)
    return Finish(activation=_activation(found, model.config, options, labelled=isinstance(head, Classifier)))


def _activation(found: Found, config: Any, options: EncodingConfig, *, labelled: bool) -> Activation:
    """What makes scores of outputs.

    Args:
        labelled: They are those of a head for labels.

    Raises:
        ConfigError: There are several outputs, and the task has one.
    """
    if found.task in ("rerank", "reward") and labelled and config.num_labels != 1:
        raise ConfigError(
            f"the model has {config.num_labels} labels, and the task {found.task} needs one",
            hint="take --task classify, or another model",
        )
    if options.activation != "auto":
        return options.activation
    if found.task == "reward":
        return "none"
    if found.facts.activation is not None:
        return found.facts.activation
    if found.task == "rerank":
        return "sigmoid"
    if config.problem_type == "regression":
        return "none"
    return "sigmoid" if config.num_labels == 1 or config.problem_type == "multi_label_classification" else "softmax"


def _described(model: PreTrainedModel, task: Task, how: str, *, alone: bool) -> str:
    weights = next(model.parameters())
    warning = dtype_warning(model.dtype, model.device, model.config)
    rows = ", one row at a time" if alone else ""
    note = "" if warning is None else f" ({warning})"
    return f"task {task}, {how}{rows}, {str(weights.dtype).removeprefix('torch.')} on {weights.device}{note}"
