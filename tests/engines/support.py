"""Requests and adapters for the tests of engines, chats and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from swift.chat.codec import Codec
from swift.types import Completion, Conversation, Message, Origin, Request, Sampling, Text

WORDS = "the capital of France is Paris and there are seven days in a week said the user 1 2 3".split()


def ask(text: str, **rules: Any) -> Request:
    """A chat of one question."""
    return Request(Conversation((Message("user", text),), Origin("test", 1)), Sampling(**rules))


def go_on(text: str, *, adapter: str | None = None, **rules: Any) -> Request:
    """A plain text to go on with."""
    return Request(Text(text, Origin("test", 1)), Sampling(**rules), adapter=adapter)


def texts(*lengths: int) -> list[str]:
    """Different texts of about so many tokens."""
    return [
        " ".join(WORDS[(number + place) % len(WORDS)] for place in range(length // 2 + 1))
        for number, length in enumerate(lengths)
    ]


def reference(model: PreTrainedModel, codec: Codec, text: str, new: int) -> list[int]:
    """What transformers' own greedy generation gives for one text alone."""
    ids = torch.tensor([codec.encode_text(text)])
    out = model.generate(  # type: ignore[operator]
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=new,
        eos_token_id=sorted(codec.eos_ids),
        pad_token_id=0,
    )
    answer: list[int] = out[0, ids.shape[1] :].tolist()
    return answer


def answers(results: list[Any]) -> list[Completion]:
    """The results, all of which must be answers."""
    assert all(isinstance(result, Completion) for result in results), results
    return results


def save_adapter(folder: Path, model_folder: Path, *, seed: int, scale: float = 0.3, **options: Any) -> Path:
    """A random LoRA adapter, strong enough to change the model's answers."""
    base = AutoModelForCausalLM.from_pretrained(model_folder)
    rules = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"], **options}
    tuned = get_peft_model(base, LoraConfig(**rules))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name and "magnitude" not in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    tuned.save_pretrained(str(folder))
    return folder
