"""Vectors, labels and scores, against plain transformers, one text at a time, and against sentence-transformers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from swift.config.chat import ChatConfig
from swift.config.encoding import EncodingConfig
from swift.config.model import ModelConfig
from swift.engines.encoding.engine import EncoderEngine
from swift.engines.encoding.facts import read_facts
from swift.engines.encoding.load import find, load_encoder
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.errors import ConfigError, ModelError, RowError
from swift.types import Conversation, Encoded, EncodeRequest, Ids, Message, Origin, Text, TextPair
from tests.engines.encoding.checkpoints import save, write_json
from tests.engines.support import texts

TEXTS = texts(4, 40, 12, 25, 9, 70, 1)
HERE = Origin("test", 1)
FEW = Limits(300, 4)


def load(folder: Path, limits: Limits = FEW, adapters: tuple[str, ...] = (), **options: Any) -> EncoderEngine:
    plan = plan_model(ModelConfig(id=str(folder), dtype="float32"), adapters, ChatConfig())
    return load_encoder(plan, EncodingConfig(**options), limits=limits)


def numbers(engine: EncoderEngine, prompts: Any, **options: Any) -> np.ndarray:
    found = engine.encode([EncodeRequest(prompt, **options) for prompt in prompts])
    assert all(isinstance(item, Encoded) for item in found), found
    return np.stack([item.values for item in found])  # type: ignore[union-attr]


def plain(words: list[str]) -> list[Text]:
    return [Text(word, HERE) for word in words]


@torch.no_grad()
def states(folder: Path, text: str) -> torch.Tensor:
    """Last hidden states [length, d] of one text alone."""
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    return AutoModel.from_pretrained(folder)(**inputs).last_hidden_state[0]


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "modernbert", "qwen3", "llama"])
def test_vectors(tmp_path: Path, model_type: str, pooling: str) -> None:
    purpose = "states" if model_type in ("bert", "xlm-roberta", "modernbert", "llama") else "tokens"
    folder = save(tmp_path / "m", model_type, purpose)
    engine = load(folder, pooling=pooling, task="embed")
    pick = {"mean": lambda s: s.mean(0), "cls": lambda s: s[0], "last": lambda s: s[-1]}[pooling]
    expected = torch.stack([pick(states(folder, text)) for text in TEXTS])
    expected = torch.nn.functional.normalize(expected, dim=-1)
    found = numbers(engine, plain(TEXTS))
    assert engine.ability.dimensions == found.shape[1]
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-6)
    short = numbers(engine, plain(TEXTS), dimensions=8)
    np.testing.assert_allclose(short, torch.nn.functional.normalize(expected[:, :8], dim=-1).numpy(), atol=2e-6)


@pytest.mark.parametrize("layout", ["mean", "cls", "dense"])
def test_sentence_transformers(tmp_path: Path, layout: str) -> None:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer import modules as parts

    steps = [
        parts.Transformer(str(save(tmp_path / "m", "bert"))),
        parts.Pooling(32, "cls" if layout == "cls" else "mean"),
    ]
    if layout != "mean":
        steps.append(parts.Normalize())
    if layout == "dense":
        steps.insert(2, parts.Dense(32, 16))
    oracle = library.SentenceTransformer(modules=steps, device="cpu")
    oracle.save(str(tmp_path / "st"))
    engine = load(tmp_path / "st")
    assert engine.ability.task == "embed"
    np.testing.assert_allclose(numbers(engine, plain(TEXTS)), oracle.encode(TEXTS), atol=2e-6)


PAIRS = [TextPair(query, document) for query, document in zip(TEXTS, reversed(TEXTS), strict=True)]


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "modernbert", "qwen3"])
def test_cross_encoders(tmp_path: Path, model_type: str) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder = save(tmp_path / "m", model_type, "labels", template=False, num_labels=1)
    oracle = library.CrossEncoder(str(folder), device="cpu")
    engine = load(folder, task="rerank")
    expected = oracle.predict([(pair.query, pair.document) for pair in PAIRS])
    np.testing.assert_allclose(numbers(engine, PAIRS)[:, 0], expected, atol=2e-6)
    raw = oracle.predict([(p.query, p.document) for p in PAIRS], activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(numbers(engine, PAIRS, raw=True)[:, 0], raw, atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
@torch.no_grad()
def test_labels(tmp_path: Path, model_type: str, problem: str) -> None:
    names = {0: "good", 1: "bad", 2: "odd"}
    folder = save(tmp_path / "m", model_type, "labels", num_labels=3, problem_type=problem, id2label=names)
    engine = load(folder)
    assert engine.ability.task == "classify"
    assert engine.ability.labels == ("good", "bad", "odd")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    logits = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in TEXTS])
    expected = logits.softmax(-1) if problem.startswith("single") else logits.sigmoid()
    np.testing.assert_allclose(numbers(engine, plain(TEXTS)), expected.numpy(), atol=2e-6)


@pytest.mark.parametrize("pad", [0, None])
@torch.no_grad()
def test_rewards(tmp_path: Path, pad: int | None) -> None:
    folder = save(tmp_path / "m", "llama", "labels", num_labels=1, pad_token_id=pad)
    engine = load(folder)
    assert engine.ability.task == "reward"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in pairwise(TEXTS)]
    chats = [Conversation(tuple(Message(t["role"], t["content"]) for t in chat), HERE) for chat in turns]  # type: ignore[arg-type]
    ids = [tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=False) for chat in turns]
    expected = [float(model(input_ids=row).logits) for row in ids]
    np.testing.assert_allclose(numbers(engine, chats)[:, 0], expected, atol=1e-5)


@torch.no_grad()
def test_generating_rerankers(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "qwen3", "tokens")
    engine = load(folder, task="rerank", yes="a", no="b", instruction="Find it")
    assert load(folder, task="embed").ability.task == "embed"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    expected = []
    for pair in PAIRS:
        system = (
            "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
            'Note that the answer can only be "yes" or "no".'
        )
        user = f"<Instruct>: Find it\n<Query>: {pair.query}\n<Document>: {pair.document}"
        chat = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        both = model(input_ids=ids).logits[0, -1, [tokenizer.convert_tokens_to_ids(t) for t in ("a", "b")]]
        expected.append(float(both.softmax(-1)[0]))
    np.testing.assert_allclose(numbers(engine, PAIRS)[:, 0], expected, atol=2e-6)
    with pytest.raises(ConfigError, match="not one token"):
        load(folder, task="rerank", yes="surely")


@torch.no_grad()
@pytest.mark.parametrize("limit", [20, 31])
def test_what_is_too_long_is_cut_as_tokenizers_do(tmp_path: Path, limit: int) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder = save(tmp_path / "m", "bert", "labels", num_labels=1)
    oracle = library.CrossEncoder(str(folder), device="cpu", max_length=limit)
    engine = load(folder)
    assert engine.ability.task == "rerank"
    expected = oracle.predict([(pair.query, pair.document) for pair in PAIRS])
    np.testing.assert_allclose(numbers(engine, PAIRS, truncate=limit)[:, 0], expected, atol=2e-6)


def test_what_cannot_be_encoded_has_its_error_in_its_place(tmp_path: Path) -> None:
    engine = load(save(tmp_path / "m", "bert"))
    long = Text("a b c d " * 100, HERE)
    asked = [
        EncodeRequest(long),
        EncodeRequest(Text("a", HERE)),
        EncodeRequest(PAIRS[0]),
        EncodeRequest(Ids((5, 100000))),
        EncodeRequest(Text("a", HERE), adapter="nobody"),
        EncodeRequest(Text("a", HERE), dimensions=33),
        EncodeRequest(long, truncate=-1),
        EncodeRequest(Ids((3, 7, 4))),
        EncodeRequest(long, truncate=2),
    ]
    found = engine.encode(asked)
    reasons = [item.reason if isinstance(item, RowError) else item.tokens for item in found]
    assert reasons[0] == "too_long"
    assert reasons[2:6] == ["no_pair", "unknown_token", "unknown_adapter", "bad_dimensions"]
    assert reasons[6:8] == [128, 3]
    assert reasons[8] == "too_long"
    assert "the model takes 128" in str(found[0])


def test_batches_stay_within_bounds(tmp_path: Path) -> None:
    engine = load(save(tmp_path / "m", "bert"), Limits(100, 3))
    seen = []
    inner = engine._head
    engine._head = lambda batch: (seen.append(tuple(batch.ids.shape)), inner(batch))[1]  # type: ignore[assignment]
    whole = numbers(engine, plain(TEXTS * 3))
    assert all(rows <= 3 and (rows == 1 or rows * width <= 100) for rows, width in seen)
    alone = [numbers(engine, [text])[0] for text in plain(TEXTS * 3)]
    np.testing.assert_allclose(whole, np.stack(alone), atol=2e-6)


def test_one_cancelled_is_not_computed(tmp_path: Path) -> None:
    engine = load(save(tmp_path / "m", "bert"))
    heard: list[Any] = []
    request = EncodeRequest(Text("a", HERE))
    ticket = engine.submit(request, heard.append)
    engine.submit(replace(request, raw=True), heard.append)
    engine.cancel(ticket)
    while engine.step():
        pass
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("model_type", "architecture", "task"),
    [
        ("bert", "BertModel", "embed"),
        ("bert", "BertForMaskedLM", "embed"),
        ("llama", "LlamaModel", "embed"),
        ("llama", "LlamaForCausalLM", "generate"),
        ("llama", "SomeChatModel", "generate"),
        ("gpt2", "GPT2LMHeadModel", "generate"),
    ],
)
def test_what_a_checkpoint_is_for(tmp_path: Path, model_type: str, architecture: str, task: str) -> None:
    write_json(tmp_path / "config.json", {"model_type": model_type, "architectures": [architecture]})
    save_file({}, tmp_path / "model.safetensors")
    plan = plan_model(ModelConfig(id=str(tmp_path)), [], ChatConfig())
    assert find(plan, EncodingConfig()).task == task
    assert find(plan, EncodingConfig(task="rerank")).task == "rerank"


def test_steps_that_are_not_known_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "bert", "architectures": ["BertModel"]})
    steps = ["Transformer", "Pooling", "Mystery"]
    listed = [{"path": f"{place}_{name}", "type": f"library.{name}"} for place, name in enumerate(steps)]
    write_json(tmp_path / "modules.json", listed)
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode_max_tokens": True})
    with pytest.raises(ModelError, match="pools by 'max_tokens'"):
        read_facts(tmp_path, EncodingConfig())
    with pytest.raises(ModelError, match="a step 'Mystery'"):
        read_facts(tmp_path, EncodingConfig(pooling="mean"))
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode": "lasttoken"})
    write_json(tmp_path / "modules.json", listed[:2])
    assert read_facts(tmp_path, EncodingConfig()).pooling == "last"
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode": "mean", "include_prompt": False})
    with pytest.raises(ModelError, match="leaves instructions out"):
        read_facts(tmp_path, EncodingConfig())
