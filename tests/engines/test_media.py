"""Answers to pictures and sounds are those of transformers' own `generate`, alone and beside other requests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swift.chat.encode import prompt_of
from swift.chat.media.samples import drawn_media
from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.transformers import TransformersEngine
from swift.models.tiny import save_tiny_multimodal
from swift.types import Completion, Conversation, Message, Origin, Placed, Request, Sampling

NAMES = (
    "qwen2_vl qwen2_5_vl qwen3_vl internvl llava_onevision smolvlm gemma3 paligemma qwen2_audio mllama glm4v"
).split()
TOKENS = 6


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_generate(name: str, tmp_path: Path) -> None:
    folder = save_tiny_multimodal(tmp_path, name)
    plan = plan_model(ModelConfig(id=str(folder), device="cpu", dtype="float32"), (), ChatConfig())
    engine = load_engine(plan, limits=Limits())
    assert engine.codec.media is not None
    requests = [_request("Just text, please.", ())]
    for kind in engine.codec.media.tokens:
        requests += [_request("What is this?", (Placed(0, drawn_media(kind, number)),)) for number in range(2)]
    together = engine.generate(requests)
    for request, answer in zip(requests, together, strict=True):
        assert isinstance(answer, Completion), answer
        assert list(answer.token_ids) == _reference(engine, request)


def _request(text: str, media: tuple[Placed, ...]) -> Request:
    return Request(
        Conversation((Message("user", text, media=media),), Origin("test", 1)), Sampling(max_new_tokens=TOKENS)
    )


def _reference(engine: TransformersEngine, request: Request) -> list[int]:
    ids, media = prompt_of(request.prompt, engine.codec, ChatConfig())
    prompt = torch.tensor([ids])
    shown = {} if media is None else dict(media.tensors)
    if media is None and "token_type_ids" in engine._lanes._parameters:
        shown["token_type_ids"] = torch.zeros_like(prompt)
    output = engine._model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        **shown,
        do_sample=False,
        max_new_tokens=TOKENS,
        eos_token_id=sorted(engine.codec.eos_ids),
        pad_token_id=0,
    )
    return output[0, len(ids) :].tolist()
