"""What saves memory or time in a run, as it really is: switches that nothing came of are not listed."""

from __future__ import annotations

from transformers import PreTrainedModel

from swift.data.slices import ONE_BY_ONE
from swift.models.parts import Part, part_modules
from swift.train.prepare_model import Prepared
from swift.train.run import Run
from swift.tuners.lora_layer import LoraLinear

_CHECKPOINTED: tuple[Part, ...] = ("llm", "vit")


def levers(run: Run, prepared: Prepared) -> tuple[str, ...]:
    """Those that are active, in words. Call it when everything is decided, checkpointing by memory included."""
    loop, optimizer = run.config.loop, run.config.optimizer
    parts = _checkpointed(prepared.base)
    fused = _fused(prepared)
    sliced = run.slice_tokens is not None and run.slice_tokens != ONE_BY_ONE
    found = (
        (bool(parts), f"gradient checkpointing ({', '.join(parts)})"),
        (run.offload is not None, "activations in main memory"),
        (run.policy.transform is not None, "chunked loss"),
        (bool(fused), f"fused {' + '.join(fused)}"),
        (prepared.layout.padding_free, "padding-free rows"),
        (sliced, f"slices of {run.slice_tokens} tokens"),
        (prepared.compiled > 0, f"{prepared.compiled} compiled layers"),
        (optimizer.updates_in_backward, "optimizer in the backward pass"),
        (optimizer.offload, "optimizer state in main memory"),
        (loop.neftune_alpha is not None, f"NEFTune {loop.neftune_alpha:g}" if loop.neftune_alpha else ""),
    )
    return tuple(words for active, words in found if active)


def _checkpointed(model: PreTrainedModel) -> list[Part]:
    """Parts that compute their activations again; of the towers only trained ones keep any."""
    modules = part_modules(model)
    return [
        part
        for part in _CHECKPOINTED
        if any(isinstance(module, PreTrainedModel) and module.is_activation_checkpointing for module in modules[part])
        and (part == "llm" or any(p.requires_grad for module in modules[part] for p in module.parameters()))
    ]


def _fused(prepared: Prepared) -> list[str]:
    adapters = any(isinstance(module, LoraLinear) for module in prepared.base.modules())
    kinds = ((prepared.fused.norms, "norms"), (prepared.fused.activations, "gated activations"), (adapters, "LoRA"))
    return [name for there, name in kinds if there]
