"""The rows as the model's own template renders them: the yardstick of tokens per second, the same for every system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recipe import Example


@dataclass(frozen=True, slots=True)
class Rendered:
    """One row as text.

    Attributes:
        prompt: Everything up to where the answer begins.
        completion: The answer with the token that ends it.
    """

    prompt: str
    completion: str


def load_tokenizer(model: Path) -> Any:
    """The checkpoint's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(model))


def render(examples: Sequence[Example], tokenizer: Any) -> list[Rendered]:
    """Every row through the checkpoint's chat template. White space after the last stop token is left out.

    Raises:
        ValueError: The template does not put the prompt, as it is at inference, before the answer.
    """
    rendered = []
    for example in examples:
        messages = example.messages()
        prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(messages, tokenize=False).rstrip()
        if not whole.startswith(prompt) or not whole.endswith(tokenizer.eos_token):
            raise ValueError(f"the chat template of {tokenizer.name_or_path} is not ChatML: {whole[:80]!r}")
        rendered.append(Rendered(prompt, whole[len(prompt) :]))
    return rendered


def count(rows: Sequence[Rendered], tokenizer: Any, max_length: int) -> list[int]:
    """Tokens of each row, prompt and answer, after cutting to `max_length`. No padding."""
    texts = [row.prompt + row.completion for row in rows]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [min(len(ids), max_length) for ids in encoded]
