"""`swift infer` over models that give vectors, labels and scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from swift.api import infer
from swift.config.runs import InferConfig
from swift.errors import ConfigError, DataError
from swift.types import TextPair
from tests.engines.encoding.checkpoints import save
from tests.engines.encoding.test_oracles import load, numbers, plain

TEXTS = ["one", "two words", "a b c d " * 60, "and three words"]


def config(folder: Path, rows: Path | None, out: Path | None, **more: object) -> InferConfig:
    values: dict[str, object] = {"model": {"id": str(folder), "dtype": "float32"}, **more}
    if rows is not None:
        values |= {"data": {"validation": [str(rows)]}, "result_path": str(out)}
    return InferConfig.model_validate(values)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_vectors_of_rows_and_going_on_after_a_stop(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "bert")
    rows = write(tmp_path / "rows.jsonl", [{"text": text} for text in TEXTS])
    out = tmp_path / "out.jsonl"
    assert infer(config(folder, rows, out)) == 0
    found = lines(out)
    assert [line["row"] for line in found] == [1, 2, 3, 4]
    assert "too_long" in str(found[2]["error"])
    expected = numbers(load(folder), plain([TEXTS[0], TEXTS[1], TEXTS[3]]))
    told = np.array([found[place]["embedding"] for place in (0, 1, 3)], np.float32)
    np.testing.assert_allclose(told, expected, atol=2e-6)
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])  # as a run leaves it that is killed
    assert infer(config(folder, rows, out)) == 0
    assert out.read_bytes() == whole
    with pytest.raises(DataError, match="length"):
        infer(config(folder, rows, out, truncate_prompt_tokens=-1))
    cut = tmp_path / "cut.jsonl"
    assert infer(config(folder, rows, cut, truncate_prompt_tokens=-1, dimensions=4)) == 0
    assert [len(line["embedding"]) for line in lines(cut)] == [4] * 4  # type: ignore[arg-type]


def test_ranks_of_rows(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "bert", "labels", num_labels=1)
    rows = [
        {"query": "q", "documents": ["a", "b c", {"text": "d e f"}]},
        {"query": "q", "document": "a"},
        {"query": "q"},
    ]
    out = tmp_path / "out.jsonl"
    assert infer(config(folder, write(tmp_path / "rows.jsonl", rows), out)) == 0
    first, second, third = lines(out)
    expected = numbers(load(folder), [TextPair("q", text) for text in ("a", "b c", "d e f")])[:, 0]
    np.testing.assert_allclose(first["scores"], expected, atol=2e-6)
    assert first["ranking"] == np.argsort(-expected).tolist()
    np.testing.assert_allclose(second["scores"], expected[:1], atol=2e-6)
    assert "no_pair" in str(third["error"])


def test_labels_and_rewards_of_rows(tmp_path: Path) -> None:
    folder = save(tmp_path / "c", "bert", "labels", id2label={0: "bad", 1: "good"})
    out = tmp_path / "labels.jsonl"
    assert infer(config(folder, write(tmp_path / "rows.jsonl", [{"text": "one"}]), out)) == 0
    (line,) = lines(out)
    probabilities = line["probabilities"]
    assert isinstance(probabilities, dict)
    assert line["predicted"] == max(probabilities, key=lambda name: probabilities[name])
    folder = save(tmp_path / "r", "llama", "labels", num_labels=1)
    out = tmp_path / "rewards.jsonl"
    chats = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": word}]} for word in "bc"]
    assert infer(config(folder, write(tmp_path / "rows.jsonl", chats), out)) == 0
    one, two = lines(out)
    assert one["reward"] != two["reward"]
    assert one["messages"] == chats[0]["messages"]


def test_a_single_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path / "m", "bert")
    assert infer(config(folder, None, None, prompt="one")) == 0
    assert len(json.loads(capsys.readouterr().out)["embedding"]) == 32
    with pytest.raises(ConfigError, match="does not chat"):
        infer(config(folder, None, None))
