"""Models that cannot stand padding are found out."""

from __future__ import annotations

import pytest
import torch

from swift.config.chat import ChatConfig
from swift.engines.probe import padding_is_safe
from swift.engines.shape import forward_parameters
from swift.engines.transformers import TransformersEngine
from swift.models.tiny import tiny_model
from tests.engines.support import answers, go_on, reference, texts


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "bloom", "gemma2"])
def test_padding_changes_nothing(model_type):
    model = tiny_model(model_type)
    assert padding_is_safe(model, forward_parameters(model))
    assert padding_is_safe(model.bfloat16(), forward_parameters(model))


def test_positions_that_count_padding_are_found_out():
    model = tiny_model("gpt2")
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(20)
    assert not padding_is_safe(model, forward_parameters(model) - {"position_ids"})


def test_such_a_model_is_batched_by_equal_length_instead(codec):
    model = tiny_model("gpt2")
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(20)
    engine = TransformersEngine(model, codec, ChatConfig())
    engine._lanes._parameters = engine._lanes._parameters - {"position_ids"}
    prompts = texts(5, 30, 30)
    found = answers(engine.generate([go_on(text, max_new_tokens=5) for text in prompts]))
    assert [list(answer.token_ids) for answer in found] == [reference(model, codec, text, 5) for text in prompts]
    assert "transformers generate" in engine.description
