"""A tiny model that has learned a few answers, and where they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from swift.config.export import ExportConfig
from swift.models.tiny import save_tiny

PAIRS = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("How many days are in a week?", "There are seven days in a week."),
    ("Write a list of three colours", "red, green and blue."),
    ("Hello, how are you today?", "I am fine, thank you."),
)


def talks() -> list[list[dict[str, str]]]:
    """The conversations that it has learned."""
    return [[{"role": "user", "content": a}, {"role": "assistant", "content": b}] for a, b in PAIRS]


def write_rows(path: Path, times: int = 1) -> Path:
    """Them as a data set."""
    path.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks() * times))
    return path


def trained(folder: Path, *, stops: bool = True, steps: int = 60, tokenizer: Any = None, heads: int = 4) -> Path:
    """A tiny model trained on the conversations.

    Args:
        stops: Whether also on the token that ends an answer.
        tokenizer: Instead of the tiny one.
        heads: Of attention, of 64 numbers in all.
    """
    shape = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "head_dim": 64 // heads,
    }
    save_tiny(folder, **shape, **({} if tokenizer is None else {"vocab_size": len(tokenizer)}))
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
        special = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, **special}))
        (folder / "generation_config.json").unlink()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = tokenizer.apply_chat_template(talks(), tokenize=False)
    batch = tokenizer([text.removesuffix("\n") for text in texts], return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    if not stops:
        labels = labels.masked_fill(labels == tokenizer.eos_token_id, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(steps):
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def config(folder: Path, rows: Path | None, **values: Any) -> ExportConfig:
    """An export of it, measured by what it has learned."""
    data: dict[str, Any] = {} if rows is None else {"validation": [str(rows)]}
    given = {
        "model": {"id": str(folder), "device": "cpu"},
        "data": {**data, **values.pop("data", {})},
        "certificate": {"answers": 2, "new_tokens": 32, **values.pop("certificate", {})},
    }
    return ExportConfig.model_validate({**given, **values})
