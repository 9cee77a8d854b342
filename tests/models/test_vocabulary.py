"""New special tokens: one id each, rows of their own that are trained, saved and merged, with tied heads and others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swift.config.tuner import LoraConfig
from swift.engines.merging import merge
from swift.errors import ConfigError
from swift.models.structure import embedding_rows, head_is_tied
from swift.models.tiny import tiny_model, tiny_tokenizer
from swift.models.vocabulary import add_special_tokens, fit_vocabulary, token_modules
from swift.tuners.attach import load_adapter
from swift.tuners.lora import add_lora

NEW = ("<here>", "<there>")


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_and_old_ones_stay(tied: bool) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", tie_word_embeddings=tied, vocab_size=len(tokenizer))
    before = model.get_input_embeddings().weight.detach().clone()
    ids = add_special_tokens(tokenizer, NEW)
    fit_vocabulary(model, tokenizer)
    assert embedding_rows(model) == len(tokenizer) == len(before) + 2
    assert head_is_tied(model) is tied
    assert len(token_modules(model)) == (1 if tied else 2)
    after = model.get_input_embeddings().weight.detach()
    assert torch.equal(after[: len(before)], before)
    assert torch.allclose(after[list(ids)], before.mean(0).expand(2, -1))
    assert tokenizer.encode("at <here>!", add_special_tokens=False).count(ids[0]) == 1


def test_a_vocabulary_that_is_large_enough_stays() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", vocab_size=len(tokenizer) + 8)
    add_special_tokens(tokenizer, NEW)
    fit_vocabulary(model, tokenizer)
    assert embedding_rows(model) == len(tokenizer) + 6


@pytest.mark.parametrize("tied", [True, False])
def test_trained_saved_and_merged(tied: bool, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    ids = add_special_tokens(tokenizer, NEW)

    def base() -> object:
        model = tiny_model("llama", tie_word_embeddings=tied, vocab_size=len(tokenizer) - 2)
        fit_vocabulary(model, tokenizer)
        return model

    tuned = add_lora(base(), LoraConfig(), ids)  # type: ignore[arg-type]
    sample = torch.tensor([[5, 9, ids[0], 7, ids[1], 3]])
    optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=1e-2)
    start = tuned(input_ids=sample).logits.detach()
    for _ in range(5):
        tuned(input_ids=sample, labels=sample).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = tuned(input_ids=sample).logits.detach()
    assert (trained - start)[..., list(ids)].abs().max() > 1e-2, "the head's rows of the new tokens are trained"
    tuned.save_pretrained(tmp_path, save_embedding_layers=False)
    again = load_adapter(base(), tmp_path, trainable=False)(input_ids=sample).logits  # type: ignore[arg-type]
    assert torch.allclose(again, trained, atol=1e-5)
    merged = merge(base(), tmp_path)(input_ids=sample).logits  # type: ignore[arg-type]
    assert torch.allclose(merged, trained, atol=1e-4)


def test_a_token_needs_characters() -> None:
    with pytest.raises(ConfigError, match="new_special_tokens"):
        add_special_tokens(tiny_tokenizer(), ("  ",))
