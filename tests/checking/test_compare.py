"""Comparing engines: the same model over HTTP agrees, another one does not, and ties are told from both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from swift.checking.compare import compare
from swift.config.chat import ChatConfig
from swift.config.looks import CheckConfig
from swift.config.model import ModelConfig
from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.transformers import TransformersEngine
from swift.models.tiny import save_tiny
from tests.engines.served import EngineServer, serving

Check = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model", "llama")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    texts = ["hello", "the capital of France", "seven days", "one two three"]
    made = [{"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "x"}]} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def engine_of(folder: Path) -> TransformersEngine:
    plan = plan_model(ModelConfig(id=str(folder), dtype="float32", device="cpu"), [], ChatConfig())
    return load_engine(plan, limits=Limits(tokens=2000, rows=4))


@pytest.fixture
def server(folder: Path) -> Iterator[EngineServer]:
    with serving(engine_of(folder)) as running:
        yield running


@pytest.fixture
def check(folder: Path, rows: Path, server: EngineServer) -> Check:
    def run(**values: Any) -> int:
        config = {
            "model": {"id": str(folder), "device": "cpu", "dtype": "float32"},
            "data": {"train": [str(rows)]},
            "engine": {"type": "vllm", "url": server.url},
            "compare_tokens": 12,
        }
        return compare(CheckConfig.model_validate({**config, **values}))

    return run


def test_the_same_model_agrees(check: Check, capsys) -> None:
    assert check() == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "4 of 4 the same token for token" in out
    assert "same answers 4" in out
    assert "disagreements 0" in out


def test_another_model_does_not(check: Check, server: EngineServer, capsys) -> None:
    with torch.no_grad():
        for parameter in server.engine._model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    assert check() == 2
    told = capsys.readouterr()
    assert "error: the engine answers otherwise than transformers in" in told.err
    assert "token 1" in told.out


def test_two_tokens_that_are_as_likely_are_a_tie(check: Check, server: EngineServer, folder: Path, capsys) -> None:
    """Two tokens are made the same to the model; the server says the one, transformers the other."""
    model = server.engine._model
    low, high = 40, 41
    with torch.no_grad():
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        embedding[high], head[high] = embedding[low].clone(), head[low].clone()
        head[[low, high]] *= 30.0  # so that they are said whenever a state leans their way at all
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)
    plain = server.complete
    said = []

    def other(body: dict[str, Any]) -> Any:
        answer = plain(body)
        said.extend(answer.token_ids)
        return replace(answer, token_ids=tuple({low: high}.get(token, token) for token in answer.token_ids))

    server.complete = other  # type: ignore[method-assign]
    assert check() == 0
    assert low in said
    out = " ".join(capsys.readouterr().out.split())
    assert "disagreements 0" in out
    assert "ties 0" not in out


def test_other_prompts_are_found(check: Check, server: EngineServer, capsys) -> None:
    plain = server.complete
    server.complete = lambda body: replace(plain(body), prompt_tokens=1)  # type: ignore[method-assign]
    assert check() == 2
    assert "rows have an answer of one engine only" in capsys.readouterr().err


def test_rules() -> None:
    with pytest.raises(ProblemsError, match="--base_url: 'localhost' is no address"):
        parse(CheckConfig, "--model x --dataset a --engine vllm --base_url localhost".split())
    with pytest.raises(ProblemsError, match="--engine: openai needs an address"):
        parse(CheckConfig, "--model x --dataset a --engine openai".split())
    with pytest.raises(ProblemsError, match="--model: is required"):
        parse(CheckConfig, "--dataset a --engine vllm".split())
    assert parse(CheckConfig, "--adapters x --dataset a --engine vllm".split()).config.engine.type == "vllm"
