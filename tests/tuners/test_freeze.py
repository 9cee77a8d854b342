"""Which parameters full and freeze tuning train."""

from __future__ import annotations

import pytest
import torch

from swift.config.tuner import FreezeConfig, FullConfig
from swift.errors import ConfigError, UnknownNameError
from swift.models.tiny import tiny_model
from swift.tuners.freeze import Trainable, train_all, train_unfrozen

LAYERS = 12


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_model("llama", num_hidden_layers=LAYERS, tie_word_embeddings=False)


def chosen(model, **options) -> Trainable:
    return train_unfrozen(model, FreezeConfig(**options))


def trained_layers(result: Trainable) -> set[int]:
    return {int(name.split(".")[2]) for name in result.names if name.startswith("model.layers.")}


def test_full_trains_everything(model) -> None:
    model.requires_grad_(False)
    result = train_all(model, FullConfig())
    assert result.trained == result.total == sum(p.numel() for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(("ratio", "first"), [(0.01, 0), (0.5, 6), (0.75, 9), (0.99, 11), (1.0, 12)])
def test_ratio_freezes_from_the_bottom_with_the_embeddings(model, ratio: float, first: int) -> None:
    result = chosen(model, ratio=ratio)
    assert trained_layers(result) == set(range(first, LAYERS))
    assert "model.embed_tokens.weight" not in result.names
    assert {"model.norm.weight", "lm_head.weight"} <= set(result.names)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == set(result.names)


def test_prefixes_end_at_a_dot(model) -> None:
    assert trained_layers(chosen(model, freeze=("model.layers.1",))) == set(range(LAYERS)) - {1}
    assert trained_layers(chosen(model, freeze=("model.layers.1.",))) == set(range(LAYERS)) - {1}


def test_regular_expressions(model) -> None:
    result = chosen(model, freeze_regex=r"layers\.\d\.|mlp")
    assert trained_layers(result) == {10, 11}
    assert not [name for name in result.names if "mlp" in name]


def test_train_wins(model) -> None:
    result = chosen(model, ratio=1.0, train=("model.layers.3.self_attn",), train_regex=r"^model\.embed")
    assert trained_layers(result) == {3}
    assert "model.embed_tokens.weight" in result.names


def test_tied_parameters_answer_to_each_name() -> None:
    tied = tiny_model("llama", tie_word_embeddings=True)
    assert "model.embed_tokens.weight" not in chosen(tied, ratio=0.5).names
    assert "model.embed_tokens.weight" in chosen(tied, ratio=1.0, train=("lm_head",)).names


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ConfigError, "nothing is frozen"),
        ({"freeze": ("model",), "freeze_regex": "lm_head"}, ConfigError, "no parameter is left to train"),
        ({"freeze": ("model.layer",)}, UnknownNameError, "unknown prefix in tuner.freeze: 'model.layer'"),
        ({"ratio": 1.0, "train": ("lm_hed",)}, UnknownNameError, "unknown prefix in tuner.train: 'lm_hed'"),
        ({"freeze_regex": "("}, ConfigError, r"tuner.freeze_regex '\(' is not a regular expression"),
        ({"freeze_regex": "vision"}, ConfigError, "tuner.freeze_regex 'vision' matches no parameter"),
        ({"ratio": 1.0, "train_regex": "vision"}, ConfigError, "tuner.train_regex 'vision' matches no parameter"),
    ],
)
def test_refusals(model, options, error, words: str) -> None:
    with pytest.raises(error, match=words):
        chosen(model, **options)


def test_unknown_prefix_suggests(model) -> None:
    with pytest.raises(UnknownNameError) as caught:
        chosen(model, freeze=("model.layrs",))
    assert "model.layers" in caught.value.suggestions
