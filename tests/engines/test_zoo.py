"""Every architecture that transformers ships and that can be made tiny: batched answers equal its own generation."""

from __future__ import annotations

import pytest
import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from swift.config.chat import ChatConfig
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.errors import ModelError
from swift.models.tiny import tiny_model
from tests.engines.support import answers, go_on, reference, texts

LENGTHS, NEW = (9, 30, 30, 4), (6, 3, 8, 5)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
def test_batched_answers_equal_the_model_s_own(model_type, codec):
    prompts = texts(*LENGTHS)
    try:
        model = tiny_model(model_type)
        with torch.no_grad():
            expected = [reference(model, codec, text, new) for text, new in zip(prompts, NEW, strict=True)]
    except (
        ModelError,
        RuntimeError,
        ValueError,
        AttributeError,
        TypeError,
        IndexError,
        KeyError,
        ImportError,
        AssertionError,
    ) as error:
        pytest.skip(f"transformers itself cannot generate with it: {str(error)[:80]}")
    engine = TransformersEngine(model, codec, ChatConfig(), limits=Limits(200, 3))
    requests = [go_on(text, max_new_tokens=new) for text, new in zip(prompts, NEW, strict=True)]
    assert [list(answer.token_ids) for answer in answers(engine.generate(requests))] == expected
