"""Answering a data set: order, bad rows, resuming after a kill."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from swift.config.runs import InferConfig
from swift.engines.open import plan_of
from swift.errors import DataError
from swift.inference.batch import answers_identity
from swift.inference.run import infer
from tests.engines.support import save_adapter

TINY = {"dtype": "float32", "device": "cpu"}


def _rows(path, count=9):
    words = "one two three four five six seven eight nine ten".split()
    rows = [
        {
            "messages": [
                {"role": "user", "content": " ".join(words[: 1 + n * 3 % 10])},
                {"role": "assistant", "content": f"label {n}"},
            ]
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _config(model, data, result, **values):
    return InferConfig.model_validate(
        {
            "model": {"id": str(model), **TINY},
            "data": {"validation": [str(data)]},
            "result_path": str(result),
            "generation": {"max_new_tokens": 5, "temperature": 1.0},
            "max_batch_size": 2,
            **values,
        }
    )


def _read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def data(tmp_path):
    return _rows(tmp_path / "data.jsonl")


def test_rows_come_out_in_order_with_everything(model, data, tmp_path, capsys):
    result = tmp_path / "out" / "r.jsonl"
    assert infer(_config(model, data, result)) == 0
    found = _read(result)
    assert [line["row"] for line in found] == list(range(1, 10))
    assert [line["label"] for line in found] == [f"label {n}" for n in range(9)]
    first = found[0]
    assert first["source"] == str(data)
    assert first["messages"] == [{"role": "user", "content": "one"}]
    assert first["finish"] in ("stop", "length")
    assert first["completion_tokens"] <= 5
    assert first["prompt_tokens"] > 3
    assert isinstance(first["response"], str)
    assert "9 rows in" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [0, 40, "line", "half"])
def test_a_killed_run_goes_on_and_gives_the_same_file(cut, model, data, tmp_path):
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    infer(_config(model, data, whole))
    infer(_config(model, data, broken))
    content = broken.read_bytes()
    lines = content.splitlines(keepends=True)
    ends = {"line": len(b"".join(lines[:4])), "half": len(b"".join(lines[:5])) - 7}
    broken.write_bytes(content[: ends.get(cut, cut)])
    infer(_config(model, data, broken))
    assert broken.read_bytes() == whole.read_bytes() == content


def test_a_finished_file_is_left_alone(model, data, tmp_path, capsys):
    result = tmp_path / "r.jsonl"
    infer(_config(model, data, result))
    before = result.read_bytes()
    capsys.readouterr()
    infer(_config(model, data, result))
    assert result.read_bytes() == before
    shown = capsys.readouterr().err
    assert "9 of 9 rows are answered already" in shown
    assert "own batched loop" not in shown, "no model is loaded for nothing"


def test_answers_of_something_else_are_not_mixed_in(model, data, tmp_path):
    result = tmp_path / "r.jsonl"
    infer(_config(model, data, result))
    before = result.read_bytes()
    with pytest.raises(DataError, match="other settings: seed"):
        infer(_config(model, data, result, seed=7))
    with pytest.raises(DataError, match="other settings: generation"):
        infer(_config(model, data, result, generation={"max_new_tokens": 6}))
    _rows(data, count=10)
    with pytest.raises(DataError, match="other settings: rows"):
        infer(_config(model, data, result))
    assert result.read_bytes() == before
    foreign = tmp_path / "notes.txt"
    foreign.write_text("mine\n")
    with pytest.raises(DataError, match="does not say what it was made with"):
        infer(_config(model, data, foreign))
    assert foreign.read_text() == "mine\n"


def test_answers_of_other_weights_at_the_same_path_are_not_mixed_in(model, data, tmp_path):
    folder, result = tmp_path / "moving", tmp_path / "r.jsonl"
    shutil.copytree(model, folder)
    infer(_config(folder, data, result))
    (folder / "notes.txt").write_text("beside the weights")
    infer(_config(folder, data, result))
    os.utime(folder / "model.safetensors", ns=(1, 1))
    with pytest.raises(DataError, match="other settings: weights"):
        infer(_config(folder, data, result))


def test_a_model_behind_an_address_has_no_weights_here(model, data, tmp_path):
    served = {"type": "openai", "url": "http://127.0.0.1:1/v1"}
    for engine, known in ((served, False), ({"type": "transformers"}, True)):
        config = _config(model, data, tmp_path / "r.jsonl", engine=engine)
        assert (answers_identity(config, plan_of(config))["weights"] is not None) is known


def test_bad_rows_have_their_error_and_the_rest_their_answers(model, tmp_path, capsys):
    data, result = tmp_path / "d.jsonl", tmp_path / "r.jsonl"
    rows = [
        '{"query": "fine"}',
        "{broken",
        '{"nothing": "known"}',
        json.dumps({"query": "long " * 2000}),
        '{"text": "plain text to go on with"}',
        '{"query": "fine too", "response": "yes"}',
    ]
    data.write_text("\n".join(rows) + "\n")
    infer(_config(model, data, result))
    found = _read(result)
    assert [line["row"] for line in found] == [1, 2, 3, 4, 5, 6]
    assert ["error" in line for line in found] == [False, True, True, True, False, False]
    assert "too_long" in found[3]["error"]
    assert found[3]["messages"][0]["content"].startswith("long")
    assert found[4]["prompt"] == "plain text to go on with"
    assert found[5]["label"] == "yes"
    assert "3 of this run without an answer" in capsys.readouterr().err


def test_several_models_answer_every_row(model, data, tmp_path):
    folder = save_adapter(tmp_path / "tuned", model, seed=1)
    both, bare = tmp_path / "both.jsonl", tmp_path / "bare.jsonl"
    greedy = {"max_new_tokens": 5}
    infer(_config(model, data, both, adapters=[str(folder)], compare_base=True, generation=greedy))
    infer(_config(model, data, bare, generation=greedy))
    for two, one in zip(_read(both), _read(bare), strict=True):
        assert list(two["responses"]) == ["tuned", "base"]
        assert two["responses"]["base"]["response"] == one["response"]
        assert two["messages"] == one["messages"]


def test_a_number_of_rows_is_drawn_and_several_files_follow_each_other(model, data, tmp_path):
    other = _rows(tmp_path / "other.jsonl", count=3)
    result = tmp_path / "r.jsonl"
    config = _config(model, f"{data}#4", result)
    infer(config.model_copy(update={"data": config.data.model_copy(update={"validation": (f"{data}#4", str(other))})}))
    found = _read(result)
    assert [line["row"] for line in found[4:]] == [1, 2, 3]
    assert [line["row"] for line in found[:4]] == sorted(line["row"] for line in found[:4])
    assert len({line["row"] for line in found[:4]}) == 4
