"""The whole evaluation of a tiny model: which turns, what is written, going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swift.config.runs import EvalConfig
from swift.errors import DataError
from swift.evaluation.metrics import METRICS
from swift.evaluation.result import read_summary
from swift.evaluation.run import evaluate
from swift.evaluation.turns import selected, turns_of
from swift.models.tiny import save_tiny

TOOLS = json.dumps([{"name": "find", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}])
CALL = {"from": "function_call", "value": '{"name": "find", "arguments": {"word": "one"}}'}
ROWS: list[dict[str, Any]] = [
    {
        "conversations": [
            {"from": "human", "value": "one two"},
            CALL,
            {"from": "observation", "value": "three"},
            {"from": "gpt", "value": "four five"},
        ],
        "tools": TOOLS,
    },
    {"conversations": [{"from": "human", "value": "six"}, {"from": "gpt", "value": "seven"}], "tools": "[]"},
    {
        "conversations": [{"from": "human", "value": "x"}, {**CALL, "value": '{"name": "gone", "arguments": {}}'}],
        "tools": TOOLS,
    },
    {"conversations": [], "tools": TOOLS},
    {"conversations": [{"from": "human", "value": "eight"}, {"from": "gpt", "value": "nine"}], "tools": TOOLS},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def config(model: Path, rows: Path, out: Path, **values: Any) -> EvalConfig:
    return EvalConfig.model_validate(
        {
            "model": {"id": str(model), "dtype": "float32", "device": "cpu"},
            "data": {"train": [str(rows)]},
            "generation": {"max_new_tokens": 6},
            "output_dir": str(out),
            "max_batch_size": 1,
            **values,
        }
    )


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_every_turn_is_predicted_behind_the_true_history(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = evaluate(config(model, rows, tmp_path / "out"))
    lines = read(tmp_path / "out")
    assert [(line["row"], line["turn"]) for line in lines] == [(1, 2), (1, 4), (5, 2)]
    assert lines[0]["reference"]["tool_calls"][0]["function"] == {"name": "find", "arguments": {"word": "one"}}
    assert lines[1]["prompt_tokens"] > lines[0]["prompt_tokens"]
    assert all(line["completion_tokens"] <= 6 for line in lines)
    scores = result.scores
    assert (scores["plan_em"].count, scores["act_em"].count, scores["rouge_l"].count) == (3, 1, 2)
    # A random model calls nothing.
    assert [scores[name].value for name in ("act_em", "f1", "hallucination")] == [0.0, 0.0, 0.0]
    assert scores["plan_em"].value == pytest.approx(200 / 3)
    # Two of the turns are of one row: the interval is of draws of rows.
    assert scores["plan_em"].low is not None
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written["skipped"] == {"bad": 1, "no tools": 1, "unknown reference": 1}
    assert written["scores"]["plan_em"]["value"] == scores["plan_em"].value
    assert read_summary(tmp_path / "out") == result
    samples = (tmp_path / "out" / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in samples] == [f"{rows}:1:2", f"{rows}:1:4", f"{rows}:5:2"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    assert "Plan.EM" in page
    out = capsys.readouterr().out
    assert "Plan.EM" in out
    assert "66.67" in out
    assert "1 rows without tools" in out


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_stopped_evaluation_goes_on(left: int, model: Path, rows: Path, tmp_path: Path) -> None:
    evaluate(config(model, rows, tmp_path / "out"))
    path = tmp_path / "out" / "predictions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:left]) + whole.splitlines()[left][:10])
    (tmp_path / "out" / "summary.json").unlink()
    evaluate(config(model, rows, tmp_path / "out"))
    assert path.read_bytes() == whole
    assert (tmp_path / "out" / "summary.json").is_file()


def test_predictions_of_another_model_or_format_are_not_added_to(model: Path, rows: Path, tmp_path: Path) -> None:
    evaluate(config(model, rows, tmp_path / "out"))
    with pytest.raises(DataError, match="made with other settings: chat"):
        evaluate(config(model, rows, tmp_path / "out", chat={"tool_format": "react_en"}))


def test_a_turn_that_cannot_be_asked_is_told(model: Path, rows: Path, tmp_path: Path) -> None:
    long = {"conversations": [{"from": "human", "value": "x " * 4000}, {"from": "gpt", "value": "y"}], "tools": TOOLS}
    rows.write_text(rows.read_text() + json.dumps(long) + "\n")
    (result,) = evaluate(config(model, rows, tmp_path / "out"))
    assert "too_long" in read(tmp_path / "out")[-1]["error"]
    assert result.scores["plan_em"].count == 3
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["failed"] == 1


def test_the_rows_that_training_sets_aside(rows: Path) -> None:
    rows.write_text("".join(json.dumps(ROWS[0]) + "\n" for _ in range(20)))
    options = {"train": [str(rows)], "split_ratio": 0.2, "seed": 7}
    data = EvalConfig.model_validate({"data": options}).data
    from swift.data.select import select

    aside = set(select(data).validation[:, 1].tolist())
    found = selected(data)
    assert set(found.validation[:, 1].tolist()) == aside
    assert len(aside) == 4
    wanted = METRICS["toolbench"].filter
    told = {turn.prompt.origin.index - 1 for turn in turns_of(found, data, wanted, {})}
    assert told == aside


def test_answers_word_for_word(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the model says is made the reference of every other row, in other letters and with a full stop."""
    questions = [f"{word} is" for word in "one two three four five six".split()]
    rows = tmp_path / "rows.jsonl"

    def write(answers: list[str]) -> None:
        pairs = zip(questions, answers, strict=True)
        rows.write_text("".join(json.dumps({"query": q, "response": a}) + "\n" for q, a in pairs))

    write(["x"] * len(questions))
    (first,) = evaluate(config(model, rows, tmp_path / "first", metric="exact"))
    assert (first.scores["accuracy"].value, first.scores["accuracy"].count) == (0.0, 6)
    said = [line["prediction"]["content"] for line in read(tmp_path / "first")]
    assert all(said)
    write([f" {text.upper()}." if number % 2 else "x" for number, text in enumerate(said)])
    (second,) = evaluate(config(model, rows, tmp_path / "second", metric="exact"))
    assert second.scores["accuracy"].value == 50.0
    assert second.facts["new_tokens"] == sum(line["completion_tokens"] for line in read(tmp_path / "second"))
    assert second.facts["seconds"] > 0
    assert "50.00" in capsys.readouterr().out


def test_the_likeliest_choice(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choices = ["seven", "the capital of France", "x"]
    rows = tmp_path / "rows.jsonl"
    values = [{"query": f"{word}?", "response": "x", "choices": choices} for word in ("one", "two", "three")]
    others = [{**values[0], "choices": ["y", "z"]}, {**values[0], "choices": None}, {"text": "x"}]
    rows.write_text("".join(json.dumps(row) + "\n" for row in [*values, *others]))
    (first,) = evaluate(config(model, rows, tmp_path / "first", metric="choice"))
    assert first.scores["accuracy"].count == 3
    assert first.scores["chance"].value == pytest.approx(100 / 3)
    lines = read(tmp_path / "first")
    for line in lines:
        assert line["prediction"] == choices[line["logprobs"].index(max(line["logprobs"]))]
    written = json.loads((tmp_path / "first" / "summary.json").read_text())
    assert written["skipped"] == {"bad": 1, "no choices": 2}
    for row, line in zip(values, lines, strict=True):
        row["response"] = line["prediction"]
    rows.write_text("".join(json.dumps(row) + "\n" for row in values))
    (second,) = evaluate(config(model, rows, tmp_path / "second", metric="choice"))
    assert second.scores["accuracy"].value == 100.0
    assert "by length" in capsys.readouterr().out


def test_the_right_choice_is_the_turn_and_not_among_answers(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"query": "q", "response": "a", "choices": ["a", "b"], "answers": ["x"]}) + "\n")
    (result,) = evaluate(config(model, rows, tmp_path / "out", metric="choice"))
    assert result.scores["accuracy"].count == 1


def test_references_without_a_number_are_left_out_and_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"query": "q", "response": text}) + "\n" for text in ("none here", "7")))
    (result,) = evaluate(config(model, rows, tmp_path / "out", metric="number"))
    assert result.scores["accuracy"].count == 1
    assert result.skipped["no number"] == 1
    assert "1 turns whose reference has no number" in capsys.readouterr().out


def test_rows_of_a_file_that_is_named_twice_count_twice(model: Path, rows: Path, tmp_path: Path) -> None:
    twice = {"data": {"train": [str(rows), str(rows)]}}
    (result,) = evaluate(config(model, rows, tmp_path / "out", **twice))
    assert result.scores["plan_em"].count == 6


def test_predictions_by_another_metric_are_not_added_to(model: Path, rows: Path, tmp_path: Path) -> None:
    evaluate(config(model, rows, tmp_path / "out"))
    with pytest.raises(DataError, match="made with other settings: metric"):
        evaluate(config(model, rows, tmp_path / "out", metric="exact"))


def test_rows_that_are_new_are_all_that_is_asked(
    model: Path, rows: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Answers are kept by question: more rows, in another order, and a row that changed."""
    evaluate(config(model, rows, tmp_path / "out"))
    before = read(tmp_path / "out")
    changed = {**ROWS[4], "conversations": [{"from": "human", "value": "ten"}, {"from": "gpt", "value": "nine"}]}
    rows.write_text("".join(json.dumps(row) + "\n" for row in (ROWS[0], changed)))
    capfd.readouterr()
    (result,) = evaluate(config(model, rows, tmp_path / "out"))
    assert "2 of 3 answers are there already" in capfd.readouterr().err
    assert read(tmp_path / "out")[:3] == before
    assert len(read(tmp_path / "out")) == 4
    assert result.scores["plan_em"].count == 3


@pytest.mark.parametrize("metric", ["f1", "rouge", "bleu", "number", "json", "vqa", "anls"])
def test_every_metric_of_texts(metric: str, model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    values = [{"query": f"{word} is", "response": "12", "answers": ["12", "seven"]} for word in ("one", "two")]
    rows.write_text("".join(json.dumps(row) + "\n" for row in values))
    (result,) = evaluate(config(model, rows, tmp_path / "out", metric=metric))
    assert all(score.count == 2 and 0 <= (score.value or 0) <= 100 for score in result.scores.values())
