"""Weights in 16 or 32 bits, adapters merged: a folder that plain transformers loads."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from swift.chat.media.files import copy_processor
from swift.config.export import ExportConfig
from swift.config.model import ModelConfig
from swift.config.quantization import NoQuantization
from swift.engines.adapters import AdapterSwitch, attach
from swift.engines.folders import Plan
from swift.engines.load import load_base
from swift.engines.merging import merge_attached, refuse_quantized
from swift.errors import CheckpointError, ModelError
from swift.exporting.folder import require_room
from swift.exporting.verify import compare, probe_ids, probe_logits, require_close, require_equal
from swift.hub import Located
from swift.models.gguf import as_folder
from swift.models.load import load_config
from swift.models.locate import locate_model
from swift.models.quantize.checkpoint import quantization_of
from swift.models.quantize.method import skeleton
from swift.models.quiet import quiet
from swift.models.weights import require_weights
from swift.tuners.attach import load_shapes, read_adapter_config

_STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Types of plain weights, as safetensors calls them."""


def write_plain(config: ExportConfig, plan: Plan, folder: Path) -> None:
    """Load, merge, cast, save into `folder`, load that again, and compare.

    Raises:
        ModelError: The checkpoint's weights are quantized, or the result is not what was to be exported.
        ResourceError: The disk is too full.
    """
    located = locate_model(plan.model)
    require_plain(plan, located)
    trained = _trained_logits(plan, located)
    stored = stored_type(plan)
    wanted = wanted_type(config.model) or stored
    wide = stored if stored == wanted else torch.float32
    model, tokenizer = load_base(_typed(plan, wide), located)
    refuse_quantized(model)
    require_room(folder, sum(p.numel() for p in model.parameters()) * wanted.itemsize)
    ids = probe_ids(tokenizer, model)
    model, expected = _merged(model, plan, ids)
    _cast(model, wide, wanted)
    _stop_tokens(model, plan)
    with quiet():
        model.save_pretrained(folder, max_shard_size=config.max_shard_size)
        tokenizer.save_pretrained(folder)
    copy_processor(located.path, folder)
    difference = require_close(folder, expected, ids, model, _typed(plan, wide).model)
    sys.stderr.write(f"compared with the files on disk: {difference}\n")
    if trained is not None:
        apart = compare(trained, probe_logits(model, ids))
        method = plan.model.quantization.type
        sys.stderr.write(f"compared with the adapter over the {method} weights that it was trained on: {apart}\n")


def require_plain(plan: Plan, located: Located) -> None:
    """Make sure, before weights are read, that the checkpoint's are plain numbers.

    Raises:
        ModelError: They are quantized.
    """
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    if quantization_of(config) is not None:
        raise ModelError(
            f"{plan.model.id} holds quantized weights, and an export starts from plain ones",
            hint="name the model that it was made of with --model",
        )


def _trained_logits(plan: Plan, located: Located) -> Tensor | None:
    """The probe's logits of the adapters over the quantized weights of their training; None where those were plain.

    The model is gone when this returns: there need not be room for two.
    """
    if isinstance(plan.model.quantization, NoQuantization) or not plan.adapters:
        return None
    model, tokenizer = load_base(plan, located)
    ids = probe_ids(tokenizer, model)
    switch = attach(model, plan.adapters, dtype=torch.float32)
    switch.tuned.base_model.set_adapter(list(plan.adapters), inference_mode=True)
    return probe_logits(model, ids)


def stored_type(plan: Plan) -> torch.dtype:
    """The type that the checkpoint's configuration names, or where it names none, that its weights have."""
    config = load_config(locate_model(plan.model, weights=False), trust_remote_code=plan.model.trust_remote_code)
    stored = config.get_text_config(decoder=True).dtype or config.dtype
    return stored if isinstance(stored, torch.dtype) else _held_type(as_folder(locate_model(plan.model)))


def _held_type(folder: Path) -> torch.dtype:
    """The type of most numbers in the files of weights.

    Raises:
        ModelError: A file is damaged, or none holds numbers with a fraction.
    """
    counts: Counter[torch.dtype] = Counter()
    for file in require_weights(folder):
        for tensor in _heads(file):
            if tensor.is_floating_point():
                counts[tensor.dtype] += tensor.numel()
    if not counts:
        raise ModelError(f"{folder} holds no plain weights", hint="name the type with --torch_dtype")
    return counts.most_common(1)[0][0]


def _heads(file: Path) -> Iterator[Tensor]:
    """The tensors of a file, without their numbers."""
    if file.suffix != ".safetensors":
        yield from torch.load(file, map_location="meta", weights_only=True).values()
        return
    with safe_open(file, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118
            piece = opened.get_slice(name)
            yield torch.empty(piece.get_shape(), dtype=_STORED.get(piece.get_dtype(), torch.uint8), device="meta")


def wanted_type(said: ModelConfig | None) -> torch.dtype | None:
    """The type that the user named; None for the checkpoint's own."""
    if said is None or said.dtype == "auto":
        return None
    wanted = getattr(torch, said.dtype)
    assert isinstance(wanted, torch.dtype)
    return wanted


def _typed(plan: Plan, dtype: torch.dtype) -> Plan:
    """The same plan, loaded as plain numbers of this type; where two types of 16 bits differ, float32 holds both."""
    update = {"dtype": str(dtype).removeprefix("torch."), "quantization": NoQuantization()}
    model: ModelConfig = plan.model.model_copy(update=update)
    return Plan(model, plan.adapters, plan.chat, plan.tokenizer)


def _attached(model: PreTrainedModel, folder: Path, plan: Plan) -> AdapterSwitch:
    """The adapter over the model.

    Raises:
        CheckpointError: It does not fit; where a shape is why, it is named.
    """
    try:
        return attach(model, {"default": folder}, dtype=torch.float32)
    except CheckpointError:
        if read_adapter_config(folder).peft_type.value == "LORA":  # others may need numbers to be made
            trust = plan.model.trust_remote_code
            bare = skeleton(load_config(locate_model(plan.model), trust_remote_code=trust), trust_remote_code=trust)
            load_shapes(bare, folder)  # tells of the first tensor of another shape
        raise


def _merged(model: PreTrainedModel, plan: Plan, ids: Tensor) -> tuple[PreTrainedModel, Tensor]:
    """The model with all adapters merged, and the logits that it must have: those of base and adapters unmerged."""
    expected = probe_logits(model, ids)
    for folder in plan.adapters.values():
        switch = _attached(model, folder, plan)
        switch.activate("default")
        expected = probe_logits(model, ids)
        model = merge_attached(switch.tuned, folder)
        require_equal(expected, probe_logits(model, ids), model.dtype, f"the model merged with {folder}")
    return model, expected


def _cast(model: PreTrainedModel, wide: torch.dtype, wanted: torch.dtype) -> None:
    """Weights that were loaded as `wide` become `wanted`; what an architecture keeps in another type stays."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dtype == wide and wide != wanted:
            tensor.data = tensor.data.to(wanted)
    model.config.dtype = wanted


def _stop_tokens(model: PreTrainedModel, plan: Plan) -> None:
    """What training taught as a stop token stops generation wherever the result is loaded."""
    if plan.tokenizer is not None and (plan.tokenizer / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(str(plan.tokenizer))
