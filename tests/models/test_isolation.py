"""Packed rows against single samples, over many architectures, and the proof's own honesty."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from swift.errors import ModelError
from swift.models.attention import PACKED
from swift.models.forward import make_backbone
from swift.models.isolation import choose_layout
from swift.models.structure import language_model
from swift.models.tiny import tiny_model

WITHOUT_PADDING = [
    *("llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "gemma", "gemma2", "gemma3_text", "phi3", "granite", "cohere"),
    *("cohere2", "olmo2", "gpt2", "gpt_neox", "opt", "starcoder2", "mixtral", "deepseek_v3", "glm4", "smollm3"),
    *("gpt_oss", "ernie4_5", "lfm2", "exaone4", "phi", "afmoe"),
]
WITH_PADDING = {
    "bloom": "its position biases run on across samples",
    "mamba": "its state runs on across samples",
}
LENGTHS = (9, 21, 1, 14)


@pytest.mark.parametrize("name", WITHOUT_PADDING)
def test_packed_equals_single(name: str) -> None:
    model = tiny_model(name)
    decoder = language_model(model)
    layout = choose_layout(model, make_backbone(decoder), wanted=None, attention="auto")
    assert layout.padding_free
    assert layout.attention == PACKED
    _compare(decoder, model)


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3_text", "cohere2", "gpt_oss", "exaone4", "phi3"])
def test_windows_shorter_than_a_sample(name: str) -> None:
    model = tiny_model(name, sliding_window=4)
    decoder = language_model(model)
    assert choose_layout(model, make_backbone(decoder), wanted=None, attention="auto").padding_free
    _compare(decoder, model)


def _compare(decoder: nn.Module, model: PreTrainedModel) -> None:
    """Hidden states of packed samples, and of each alone through transformers' eager attention."""
    generator = torch.Generator().manual_seed(5)
    samples = [torch.randint(3, 200, (1, n), generator=generator) for n in LENGTHS]
    boundaries = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0)], dtype=torch.int32)
    with torch.no_grad():
        packed = decoder(
            input_ids=torch.cat(samples, 1),
            position_ids=torch.cat([torch.arange(n) for n in LENGTHS])[None],
            use_cache=False,
            cu_seq_lens_q=boundaries,
            cu_seq_lens_k=boundaries,
            max_length_q=max(LENGTHS),
            max_length_k=max(LENGTHS),
        ).last_hidden_state
        model.set_attn_implementation("eager")
        alone = torch.cat([decoder(input_ids=ids, use_cache=False).last_hidden_state for ids in samples], 1)
    torch.testing.assert_close(packed, alone, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("name", sorted(WITH_PADDING))
def test_models_that_leak_are_padded(name: str) -> None:
    model = tiny_model(name)
    layout = choose_layout(model, make_backbone(language_model(model)), wanted=None, attention="auto")
    assert not layout.padding_free
    assert "samples see each other" in layout.reason


def test_an_attention_that_cannot_be_exchanged_is_not_said_to_be_used() -> None:
    model = tiny_model("falcon")
    layout = choose_layout(model, make_backbone(language_model(model)), wanted=None, attention="auto")
    assert layout.attention == model.config._attn_implementation != PACKED
    assert "one attention call a sample" not in layout.reason


def test_insisting_on_a_leaking_model_is_refused() -> None:
    model = tiny_model("mamba")
    with pytest.raises(ModelError, match="padding_free is set, but packed rows are not right"):
        choose_layout(model, make_backbone(language_model(model)), wanted=True, attention="auto")


def test_padding_on_request() -> None:
    model = tiny_model("llama")
    layout = choose_layout(model, make_backbone(language_model(model)), wanted=False, attention="auto")
    assert not layout.padding_free
    assert layout.reason == "padding, as configured"


def test_the_attention_that_the_user_names_is_proved_too() -> None:
    model = tiny_model("llama")
    layout = choose_layout(model, make_backbone(language_model(model)), wanted=None, attention="sdpa")
    assert layout.padding_free
    assert layout.attention == "sdpa"


@pytest.mark.parametrize(("longest", "ours"), [(16, True), (17, False)])
def test_chunked_attention_beyond_its_chunk_goes_through_transformers_mask(longest: int, ours: bool) -> None:
    model = tiny_model("llama4_text", attention_chunk_size=16)
    layout = choose_layout(model, make_backbone(language_model(model)), wanted=None, attention="auto", longest=longest)
    assert layout.padding_free
    assert (layout.attention == PACKED) == ours
