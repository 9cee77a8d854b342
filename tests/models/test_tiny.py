from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMultimodalLM, AutoTokenizer

from swift.errors import ModelError
from swift.models.tiny import (
    CHATML,
    VOCABULARY,
    save_tiny,
    save_tiny_multimodal,
    tiny_config,
    tiny_model,
    tiny_multimodal,
    tiny_tokenizer,
)
from swift.models.tiny.layers import kept_layers
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


def test_lists_with_an_entry_per_layer_keep_one_layer_of_each_kind() -> None:
    default = {"num_hidden_layers": 6, "layer_types": ["a", "a", "b", "a", "a", "b"], "sizes": [1, 2, 3, 4, 5, 6]}
    found = kept_layers(default, {"sizes": [9] * 6})
    assert found == {"layer_types": ["a", "b"], "sizes": [9, 9], "num_hidden_layers": 2}


def test_what_differs_in_a_layer_differs_in_proportion() -> None:
    default = {"num_hidden_layers": 4, "kinds": ["a", "b", "a", "b"], "head_dim": 256}
    found = kept_layers({**default, "per_layer_config": {"1": {"head_dim": 512}}}, {"head_dim": 16})
    assert found["per_layer_config"] == {1: {"head_dim": 32}}


def test_a_multimodal_model_and_its_processor_agree(tmp_path: Path) -> None:
    tiny = tiny_multimodal("qwen2_vl", seed=3)
    assert tiny.kinds == {"image", "video"}
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]
    text = tiny.processor.apply_chat_template(chat, add_generation_prompt=True)
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    assert text == f"<|im_start|>user\n{image}Hi<|im_end|>\n<|im_start|>assistant\n"
    config = AutoConfig.from_pretrained(save_tiny_multimodal(tmp_path, "qwen2_vl", seed=3))
    ids = tiny.processor.tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>", "<|vision_start|>"])
    assert [config.image_token_id, config.video_token_id, config.vision_start_token_id] == ids
    again = AutoModelForMultimodalLM.from_pretrained(tmp_path)
    assert torch.equal(again(ids_of(9)).logits, tiny.model(ids_of(9)).logits)


def ids_of(length: int) -> torch.Tensor:
    return torch.arange(3, 3 + length)[None]


@pytest.mark.parametrize("model_type", ["llama", "no_such_model"])
def test_unknown_multimodal(model_type: str) -> None:
    with pytest.raises(ModelError, match="no multimodal language model of type"):
        tiny_multimodal(model_type)
