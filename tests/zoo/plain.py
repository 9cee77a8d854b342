"""Multimodal models as their own users call them: the processor's inputs, straight into the model."""

from __future__ import annotations

import base64
import inspect
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoModelForMultimodalLM, AutoProcessor, ProcessorMixin
from transformers.tokenization_mistral_common import MistralCommonBackend
from transformers.video_utils import VideoMetadata

from swift.config.tuner import FullConfig, LoraConfig
from swift.engines.merging import merge_attached
from swift.models.catalog.limits import Proof
from swift.models.structure import generating
from swift.models.tiny import save_tiny_multimodal, tiny_multimodal
from swift.tuners.freeze import train_all
from swift.tuners.lora import add_lora

STEPS = 4
NEW_TOKENS = 3
QUESTION = {"type": "text", "text": "What is this?"}
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "It is noise."}]}

TOWER = re.compile("vision|visual|image|patch|audio|sound|speech|encoder|tower|perceiver|qformer")

Inputs = dict[str, Tensor]

WHOLE = FullConfig(freeze_vit=False, freeze_aligner=False)


@dataclass(frozen=True)
class Plain:
    """A model, and its processor's inputs for each kind of media, with labels."""

    model: Any
    processor: Any
    inputs: dict[str, Inputs]


def whole(model: Any) -> Any:
    """What is called with the processor's inputs: the model, or the part of it that has a forward pass."""
    return generating(model) if type(model).forward is nn.Module.forward else model


def plain_case(model_type: str, folder: Path) -> Plain:
    """Drawn media in a chat, one kind at a time."""
    tiny = tiny_multimodal(model_type)
    save_tiny_multimodal(folder, model_type)
    inputs = {kind: process(tiny.processor, tiny.model, kind) for kind in sorted(tiny.kinds)}
    assert inputs, "its processor takes no media"
    return Plain(tiny.model, tiny.processor, inputs)


def process(processor: Any, model: Any, kind: str) -> Inputs:
    """What the processor makes of a question about a picture, a video or a sound, and its answer.

    `labels` are what is taught; `prompt`, where it is there, is what a generation begins with.
    """
    if isinstance(processor.tokenizer, MistralCommonBackend):
        return _of_mistral(processor, drawn(processor, kind)["audio"][0])
    chat = [{"role": "user", "content": [{"type": kind}, QUESTION]}, ANSWER]
    template = processor.chat_template or processor.tokenizer.chat_template
    text = processor.apply_chat_template(chat, chat_template=template)
    takes = inspect.signature(whole(model).forward).parameters
    more = {name: True for name in ("mm_token_type_ids",) if name in takes and name in processor.model_input_names}
    made = processor(
        text=[text], return_tensors="pt", **drawn(processor, kind), **{f"return_{name}": True for name in more}
    )
    tensors = {name: value for name, value in made.items() if isinstance(value, Tensor)}
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    if "input_ids" in inputs:
        return {**inputs, "labels": inputs["input_ids"].clone()}
    ids = processor.tokenizer(text, return_tensors="pt").input_ids  # of its decoder, which is taught token by token
    return {**inputs, "decoder_input_ids": ids[:, :-1], "labels": ids[:, 1:].clone()}


def _of_mistral(processor: Any, sound: Any) -> Inputs:
    """A question about a sound, or a sound to write down where the model does only that."""
    if type(processor).apply_chat_template is ProcessorMixin.apply_chat_template:
        made = processor(audio=[sound], return_tensors="pt")
        prompt, steps = made["input_ids"], made["input_features"].shape[-1] // processor.audio_length_per_tok
        ids = torch.cat((prompt, prompt[:, -1:].expand(-1, steps - prompt.shape[1])), 1)  # it is taught step by step
        made = {**made, "input_ids": ids, "attention_mask": torch.ones_like(ids), "prompt": prompt}
    else:
        file = io.BytesIO()
        soundfile.write(file, sound, processor.feature_extractor.sampling_rate, format="wav")
        heard = {"type": "audio", "base64": base64.b64encode(file.getvalue()).decode()}
        made = processor.apply_chat_template([{"role": "user", "content": [heard, QUESTION]}])
    return {**made, "labels": made["input_ids"].clone()}


def drawn(processor: Any, kind: str) -> dict[str, Any]:
    """A medium of random pixels or samples, as the processor's argument."""
    generator = np.random.default_rng(0)
    if kind == "audio":
        part = getattr(processor, "feature_extractor", None) or processor.audio_processor
        return {"audio": [generator.normal(scale=0.1, size=part.sampling_rate).astype(np.float32)]}
    frames = generator.integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    if kind == "image":
        return {"images": [Image.fromarray(frames[0])]}
    if "videos" not in inspect.signature(type(processor).__call__).parameters:
        return {"images": [list(frames)]}
    times = VideoMetadata(total_num_frames=4, fps=2.0, width=64, height=48, duration=2.0, frames_indices=[0, 1, 2, 3])
    return {"videos": [frames], "video_metadata": [times], "return_metadata": True}


def plain_runs(case: Plain, folder: Path) -> Iterator[tuple[Proof, Callable[[], None]]]:
    """The proofs, one after the other on one model."""
    state: dict[str, Any] = {}
    yield "generate", lambda: _generates(case)
    yield "reload", lambda: _reloads(case, folder)
    yield "tower", lambda: _towers_learn(case)
    yield "full", lambda: _full(case)
    yield "lora", lambda: state.update(tuned=_lora(case))
    yield "merge", lambda: _merges(case, state.get("tuned"))


def _copy(inputs: Inputs) -> Inputs:
    return {name: value.clone() for name, value in inputs.items() if name != "prompt"}


def _prompt(inputs: Inputs) -> Inputs:
    """What it is asked to continue, which is all of it if nothing else is said."""
    kept = {name: value for name, value in _copy(inputs).items() if name != "labels"}
    if "prompt" not in inputs:
        return kept
    return {**kept, "input_ids": inputs["prompt"].clone(), "attention_mask": torch.ones_like(inputs["prompt"])}


def _loss(model: nn.Module, inputs: Inputs) -> Tensor:
    torch.manual_seed(0)  # for a model that draws noise in its forward pass
    loss = model(**_copy(inputs)).loss
    assert loss is not None, "it has no loss for labels"
    return loss.mean()


def _generates(case: Plain) -> None:
    case.model.eval()
    for inputs in case.inputs.values():
        output = whole(case.model).generate(
            **_prompt(inputs), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
        )
        assert output.shape[1] >= NEW_TOKENS


@torch.no_grad()
def _logits(model: Any, case: Plain) -> list[Tensor]:
    model.eval()
    logits = []
    for inputs in case.inputs.values():
        torch.manual_seed(0)  # as above
        logits.append(whole(model)(**_copy(inputs)).logits)
    return logits


def _reloads(case: Plain, folder: Path) -> None:
    """Model and processor, from the folder that they were saved in before they were used."""
    again = AutoModelForMultimodalLM.from_pretrained(folder)
    for mine, theirs in zip(_logits(case.model, case), _logits(again, case), strict=True):
        torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=1e-5)
    processor = AutoProcessor.from_pretrained(folder)
    for kind, inputs in case.inputs.items():
        for name, value in process(processor, case.model, kind).items():
            torch.testing.assert_close(value, inputs[name], atol=1e-5, rtol=1e-5)


def _towers_learn(case: Plain) -> None:
    """With each kind of media, some weight of a tower gets a gradient."""
    model = case.model
    train_all(model, WHOLE)
    for kind, inputs in case.inputs.items():
        model.zero_grad(set_to_none=True)
        _loss(whole(model), inputs).backward()
        reached = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
        assert any(TOWER.search(name) for name in reached), f"no weight of a tower gets a gradient from {kind}s"


def _falls(case: Plain, trained: nn.Module, *, rate: float) -> None:
    called = whole(case.model)
    optimizer = torch.optim.AdamW([p for p in trained.parameters() if p.requires_grad], lr=rate, weight_decay=0.0)
    losses = []
    trained.eval()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = sum((_loss(called, inputs) for inputs in case.inputs.values()), torch.zeros(()))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.9999, f"the loss does not fall: {losses}"


def _full(case: Plain) -> None:
    train_all(case.model, WHOLE)
    _falls(case, case.model, rate=1e-3)


def _lora(case: Plain) -> nn.Module:
    tuned = add_lora(case.model, LoraConfig())
    _falls(case, tuned, rate=2e-3)
    return tuned


def _merges(case: Plain, tuned: Any) -> None:
    assert tuned is not None, "there is no trained adapter to merge"
    expected = _logits(tuned.get_base_model(), case)
    merged = merge_attached(tuned, Path("in memory"))
    for mine, theirs in zip(expected, _logits(merged, case), strict=True):
        torch.testing.assert_close(theirs, mine, atol=1e-4, rtol=1e-4)
