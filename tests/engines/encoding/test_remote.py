"""Vectors, scores, labels and rewards of a real server are those of the same model in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openai
import pytest

from swift.api import infer
from swift.config.chat import ChatConfig
from swift.config.encoding import EncodingConfig
from swift.config.engine import OpenaiConfig, VllmConfig
from swift.config.model import ModelConfig
from swift.config.rules import find
from swift.config.runs import InferConfig
from swift.engines.encoding.remote import RemoteEncoder, connect_encoder
from swift.engines.folders import plan_model
from swift.errors import ConfigError, RowError
from swift.types import Conversation, Encodable, EncodeRequest, Ids, Message, Origin, Request, Text, TextPair
from tests.engines.encoding.checkpoints import save
from tests.engines.encoding.test_oracles import load, numbers, plain
from tests.serving.support import Running, launched

ORIGIN = Origin("test", 1)
TEXTS = ["one", "two words", "and three words"]


@contextmanager
def deployed(folder: Path, task: str, *more: str) -> Iterator[Running]:
    """`swift deploy`, with the model in this process."""
    words = ["--model", str(folder), "--task", task, "--port", "0", "--torch_dtype", "float32", *more]
    with launched("-m", "swift", "deploy", *words) as running:
        running.url = running.wait_for(r"^serving at (\S+)")[1]
        yield running


@contextmanager
def remote(running: Running, folder: Path, task: str, **more: object) -> Iterator[RemoteEncoder]:
    """An engine that asks it."""
    config = ModelConfig(id=str(folder))
    options = EncodingConfig.model_validate({"task": task, **more})
    engine = connect_encoder(OpenaiConfig(url=running.url, retries=0), plan_model(config, [], ChatConfig()), options)
    try:
        yield engine
    finally:
        engine.close()


def values(engine: RemoteEncoder, prompts: list[Encodable]) -> np.ndarray:
    found = engine.encode([EncodeRequest(prompt) for prompt in prompts])
    assert not [item for item in found if isinstance(item, RowError)], found
    return np.stack([item.values for item in found])  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    folder = save(tmp_path_factory.mktemp("models") / "bert", "bert")
    with deployed(folder, "embed") as running:
        yield folder, running


def test_vectors(embedder: tuple[Path, Running]) -> None:
    folder, running = embedder
    own = load(folder)
    with remote(running, folder, "embed") as engine:
        np.testing.assert_allclose(values(engine, plain(TEXTS)), numbers(own, plain(TEXTS)), atol=2e-6)
        assert engine.ability.dimensions == own.ability.dimensions
        assert engine.ability.longest == own.ability.longest
        assert "token ids" in engine.description
        (whole,) = own.encode([EncodeRequest(Text("one", ORIGIN))])
        (found,) = engine.encode([EncodeRequest(Text("one", ORIGIN))])
        assert found.tokens == whole.tokens  # type: ignore[union-attr]
        short, long, raw, cut = engine.encode(
            [
                EncodeRequest(Text("one", ORIGIN), dimensions=4),
                EncodeRequest(Text("a b c " * 100, ORIGIN)),
                EncodeRequest(Text("one", ORIGIN), raw=True),
                EncodeRequest(Text("a b c " * 100, ORIGIN), truncate=-1),
            ]
        )
        assert len(short.values) == 4  # type: ignore[union-attr]
        assert [item.reason for item in (long, raw)] == ["too_long", "unsupported_option"]  # type: ignore[union-attr]
        expected = own.encode([EncodeRequest(Text("a b c " * 100, ORIGIN), truncate=-1)])[0]
        np.testing.assert_allclose(cut.values, expected.values, atol=2e-6)  # type: ignore[union-attr]


def test_what_it_does_not_do(embedder: tuple[Path, Running]) -> None:
    folder, running = embedder
    with remote(running, folder, "embed") as engine:
        heard: list[object] = []
        engine.submit(Request(Text("one", ORIGIN)), heard.append)
        assert isinstance(heard[0], RowError)
        with pytest.raises(ConfigError, match="at its start"):
            engine.load_adapter("x", Path())
        (refused,) = engine.encode([EncodeRequest(TextPair("a", "b"))])
        assert isinstance(refused, RowError)
    with pytest.raises(ConfigError, match="--pooling says how"), remote(running, folder, "embed", pooling="mean"):
        pass
    with pytest.raises(ConfigError, match="no numbers for the task reward"), remote(running, folder, "reward"):
        pass


def test_rows_and_a_server_in_front(embedder: tuple[Path, Running], tmp_path: Path) -> None:
    folder, running = embedder
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    config = InferConfig.model_validate(
        {
            "model": {"id": str(folder)},
            "engine": {"type": "openai", "url": running.url},
            "encoding": {"task": "embed"},
            "data": {"validation": [str(rows)]},
            "result_path": str(tmp_path / "out.jsonl"),
        }
    )
    assert infer(config) == 0
    told = [json.loads(line)["embedding"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = numbers(load(folder), plain(TEXTS))
    np.testing.assert_allclose(np.array(told, np.float32), expected, atol=2e-6)
    with deployed(folder, "embed", "--engine", "openai", "--base_url", running.url) as front:
        client = openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0)
        answer = client.embeddings.create(model=folder.name, input=TEXTS)
    np.testing.assert_allclose([item.embedding for item in answer.data], expected, atol=2e-6)


@pytest.mark.slow
def test_scores(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "bert", "labels", num_labels=1)
    pairs: list[Encodable] = [TextPair("q", text) for text in TEXTS]
    with deployed(folder, "rerank") as running, remote(running, folder, "rerank") as engine:
        np.testing.assert_allclose(values(engine, pairs), numbers(load(folder), pairs), atol=2e-6)


@pytest.mark.slow
def test_labels(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "bert", "labels", num_labels=3)
    own = load(folder)
    with deployed(folder, "classify") as running, remote(running, folder, "classify") as engine:
        assert engine.ability.labels == own.ability.labels
        np.testing.assert_allclose(values(engine, plain(TEXTS)), numbers(own, plain(TEXTS)), atol=2e-6)


@pytest.mark.slow
def test_rewards_of_chats_and_ids(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "llama", "labels", num_labels=1)
    chat = Conversation((Message("user", "Hello"), Message("assistant", "Good day.")), ORIGIN)
    prompts: list[Encodable] = [chat, Ids((5, 6, 7))]
    own = load(folder, task="reward")
    with deployed(folder, "reward") as running, remote(running, folder, "reward") as engine:
        np.testing.assert_allclose(values(engine, prompts), numbers(own, prompts), atol=2e-6)


@pytest.mark.parametrize(
    ("engine", "model", "told"),
    [
        (VllmConfig(), "x/y", "gives no numbers"),
        (OpenaiConfig(url="http://127.0.0.1:9/v1"), None, "token ids are sent"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_loaded(engine: object, model: str | None, told: str) -> None:
    config = InferConfig.model_validate(
        {
            "model": None if model is None else {"id": model},
            "engine": engine.model_dump(),  # type: ignore[attr-defined]
            "encoding": {"task": "embed"},
            "prompt": "x",
        }
    )
    assert any(told in problem.why for problem in find(config))
