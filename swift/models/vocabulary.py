"""New special tokens: in the tokenizer, in the embeddings, and in the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from swift.errors import ConfigError
from swift.models.structure import embedding_rows, generating, head_is_tied, input_embeddings, output_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def add_special_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[int, ...]:
    """Add tokens that are never split; returns their ids, those that were there already included.

    Raises:
        ConfigError: A text is empty, or is made of white space.
    """
    for text in texts:
        if not text.strip():
            raise ConfigError(f"model.new_special_tokens names {text!r}", hint="a token needs characters")
    tokenizer.add_special_tokens({"additional_special_tokens": list(texts)}, replace_extra_special_tokens=False)
    return tuple(int(tokenizer.convert_tokens_to_ids(text)) for text in texts)  # type: ignore[arg-type]


@torch.no_grad()
def fit_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Grow embeddings and head to the tokenizer's size where they are smaller.

    New rows are the mean of the old ones, so that a new token begins as no token in particular and takes no
    probability from any (and so that two runs begin alike).
    """
    old = embedding_rows(model)
    if len(tokenizer) <= old:
        return
    whole = generating(model)
    whole.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    modules = [input_embeddings(whole)] if head_is_tied(whole) else [input_embeddings(whole), output_head(whole)]
    for module in modules:
        weight = module.get_parameter("weight")
        weight[old:] = weight[:old].float().mean(0).to(weight.dtype)


def token_modules(model: PreTrainedModel) -> list[str]:
    """Full names of the modules that have a row for each token, those that share one weight once."""
    names = {id(module): name for name, module in model.named_modules()}
    embeddings, head = input_embeddings(model), output_head(model)
    return [names[id(embeddings)]] if head_is_tied(model) else [names[id(embeddings)], names[id(head)]]
