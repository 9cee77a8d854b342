"""Tiny random checkpoints of encoders, classifiers and rerankers, written as their libraries write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from swift.models.tiny import tiny_tokenizer
from swift.models.tiny.causal import tiny_config

SIZES = {
    "vocab_size": 384,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 200,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "cls_token_id": 3,
    "sep_token_id": 4,
}
OF_ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {},
    "xlm-roberta": {"type_vocab_size": 1},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 16},
}
CLASSES = {
    "states": AutoModel,
    "labels": AutoModelForSequenceClassification,
    "tokens": AutoModelForCausalLM,
}


def encoder_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """The tiny tokenizer with begin and separator tokens as the architecture's own has them."""
    tokenizer = tiny_tokenizer(chat_template=None)
    tokenizer.add_special_tokens({"cls_token": "<cls>", "sep_token": "<sep>"})
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    pair = "<cls> $A <sep> <sep> $B <sep>" if kind == "xlm-roberta" else "<cls> $A <sep> $B:1 <sep>:1"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<cls> $A <sep>", pair=pair, special_tokens=[("<cls>", cls), ("<sep>", sep)]
    )
    tokenizer.eos_token = None
    tokenizer.model_max_length = 128
    names = ["input_ids", "attention_mask"]
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"] if kind == "bert" else names
    return tokenizer


def save(
    folder: Path, model_type: str, purpose: str = "states", *, template: bool = True, seed: int = 0, **fields: Any
) -> Path:
    """A checkpoint of an architecture for a purpose, with its tokenizer."""
    if model_type in OF_ENCODERS:
        given = {**SIZES, **OF_ENCODERS[model_type], "vocab_size": 400, **fields}
        config = AutoConfig.for_model(model_type, **given)
        tokenizer = encoder_tokenizer(model_type)
    else:
        config = tiny_config(model_type)
        for name, value in fields.items():
            setattr(config, name, value)
        tokenizer = tiny_tokenizer() if template else tiny_tokenizer(chat_template=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLASSES[purpose].from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.3)
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_json(path: Path, value: Any) -> None:
    """A JSON file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
