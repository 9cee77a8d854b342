from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from swift.errors import ModelError
from swift.models.tiny import CHATML, VOCABULARY, save_tiny, tiny_config, tiny_model, tiny_tokenizer
from tests.models.zoo import ARCHITECTURES, ids


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_learns(model_type: str) -> None:
    model = tiny_model(model_type)
    assert sum(weight.numel() for weight in model.parameters()) < 3e6
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(3):
        loss = model(input_ids=ids(), labels=ids(), use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, again, other = tiny_model(seed=1), tiny_model(seed=1), tiny_model(seed=2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first(ids()).logits, again(ids()).logits)
    assert not torch.equal(first(ids()).logits, other(ids()).logits)


def test_fields_can_be_set() -> None:
    config = tiny_config("llama", hidden_size=32, head_dim=8, tie_word_embeddings=True)
    assert (config.hidden_size, config.head_dim, config.tie_word_embeddings) == (32, 8, True)
    assert tiny_model("llama", vocab_size=500).get_input_embeddings().weight.shape == (500, 64)


def test_layers_of_every_kind_are_left() -> None:
    assert set(tiny_config("qwen3_next").layer_types) == {"linear_attention", "full_attention"}
    assert set(tiny_config("gemma3_text").layer_types) == {"sliding_attention", "full_attention"}


@pytest.mark.parametrize("model_type", ["no_such_model", "t5", "clip"])
def test_unknown(model_type: str) -> None:
    with pytest.raises(ModelError, match="no causal language model of type"):
        tiny_model(model_type)


def test_fields_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="no tiny llama"):
        tiny_model("llama", num_attention_heads=7)


@given(st.text())
def test_the_tokenizer_loses_nothing(text: str) -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_the_tokenizer_has_merges_and_marks() -> None:
    tokenizer = tiny_tokenizer()
    assert len(tokenizer) == VOCABULARY
    assert len(tokenizer("The capital of France").input_ids) < 12
    marks = [tokenizer.convert_tokens_to_ids(mark) for mark in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    assert marks == [0, 1, 2]
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 0, 2)
    assert tiny_tokenizer().backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_chat_template() -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    text = tiny_tokenizer().apply_chat_template(chat, tokenize=False)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    assert tiny_tokenizer(chat_template=None).chat_template is None


def test_saved_folder_loads_with_plain_transformers(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", "qwen3", seed=3)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert torch.equal(model(ids()).logits, tiny_model("qwen3", seed=3)(ids()).logits)
    assert tokenizer.chat_template == CHATML
    assert tokenizer("Hello").input_ids == tiny_tokenizer()("Hello").input_ids
