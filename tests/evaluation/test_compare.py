"""Two finished runs, and a judge between them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from swift.config.runs import EvalConfig
from swift.errors import DataError
from swift.evaluation.compare import compare
from swift.evaluation.intervals import Estimate
from swift.evaluation.judging.engine import engine_of
from swift.evaluation.result import Result, write_result
from swift.evaluation.run import evaluate
from swift.models.tiny import save_tiny


def run(folder: Path, right: list[int], *, name: str = "mcq", metric: str = "choice") -> str:
    folder.mkdir(parents=True)
    lines = [
        {
            "id": str(number),
            "key": str(number),
            "cluster": str(number),
            "asked": "user: x",
            "reference": "a",
            "response": f"{folder.name} {number}",
            "scores": {"right": bool(value), "right_norm": bool(value), "choices": 4, "grade": 5},
        }
        for number, value in enumerate(right)
    ]
    mean = 100 * sum(right) / len(right)
    measures = ("grade",) if metric == "judge" else ("accuracy", "accuracy_norm", "chance")
    scores = {name: Estimate(mean, None, None, len(right)) for name in measures}
    write_result(Result(name, metric, scores), lines, folder)
    return str(folder)


def config(folders: list[str], out: Path, **values: Any) -> EvalConfig:
    return EvalConfig.model_validate({"compare": folders, "output_dir": str(out), **values})


def test_runs_are_compared_question_by_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(tmp_path / "base", [0] * 12 + [1] * 3)
    second = run(tmp_path / "tuned", [1] * 10 + [0] * 2 + [1] * 3)
    rows = compare(config([first, second], tmp_path / "out"))
    row = rows[0]
    assert (row.set, row.title, row.first, row.second) == ("mcq", "Accuracy", "base", "tuned")
    assert (row.found.first, row.found.better, row.found.worse) == (20.0, 10, 0)
    assert row.found.p == pytest.approx(2 / 2**10)
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written[0]["found"]["difference"] == pytest.approx(100 * 10 / 15)
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()
    assert "McNemar" in capsys.readouterr().out


def test_three_runs_make_three_pairs(tmp_path: Path) -> None:
    folders = [run(tmp_path / name / "eval", [0, 1, 1]) for name in "abc"]
    rows = compare(config(folders, tmp_path / "out"))
    assert len(rows) == 3 * 2
    assert {(row.first, row.second) for row in rows} == {
        ("a-eval", "b-eval"), ("a-eval", "c-eval"), ("b-eval", "c-eval"),
    }  # fmt: skip


@pytest.mark.parametrize("metric", ["lm_eval", "evalscope"])
def test_shares_of_other_evaluators_are_compared(metric: str, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for place, right in zip(folders, (0, 1), strict=True):
        place.mkdir()
        lines = [
            {
                "id": str(number), "key": str(number), "cluster": str(number), "reference": "x",
                "scores": {"acc": right, "bleu": None if number else 0.5, "perplexity": 7.0 + number},
            }
            for number in range(6)
        ]  # fmt: skip
        scores = {name: Estimate(1.0, None, None, 6) for name in ("acc", "bleu", "perplexity")}
        write_result(Result("task", metric, scores), lines, place)
    rows = compare(config([str(folder) for folder in folders], tmp_path / "out"))
    assert [(row.title, row.found.difference, row.found.count) for row in rows] == [("acc", 100.0, 6), ("bleu", 0.0, 1)]
    for place in folders:
        lines = [{"id": "0", "key": "0", "cluster": "0", "reference": "x", "scores": {"perplexity": 7.0}}]
        write_result(Result("task", metric, {"perplexity": Estimate(7.0, None, None, 1)}), lines, place)
    with pytest.raises(DataError, match="has no score of answers from 0 to 1"):
        compare(config([str(folder) for folder in folders], tmp_path / "out"))


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    first = run(tmp_path / "a", [0, 1])
    with pytest.raises(DataError, match="no set in common"):
        compare(config([first, run(tmp_path / "b", [0, 1], name="other")], tmp_path / "out"))
    with pytest.raises(DataError, match="was judged by choice in a, by letter in c"):
        compare(config([first, run(tmp_path / "c", [0, 1], metric="letter")], tmp_path / "out"))
    (tmp_path / "a" / "samples.jsonl").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        compare(config([first, run(tmp_path / "d", [0, 1])], tmp_path / "out"))


def test_only_the_same_questions_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (Path(run(tmp_path / name, [0, 1, 1])) for name in "ab")
    path = second / "samples.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]

    def write(changes: list[dict[str, Any]]) -> None:
        changed = [{**line, **change} for line, change in zip(lines, changes, strict=True)]
        path.write_text("".join(json.dumps(line) + "\n" for line in changed))

    # Another system message or example in front is not another question.
    write([{"reference": "b"}, {"asked": "user: y"}, {"asked": "system: short\n\nuser: x"}])
    row = compare(config([str(first), str(second)], tmp_path / "out"))[0]
    assert row.found.count == 1
    assert "2 questions of mcq have the same id and are not the same" in capsys.readouterr().err
    write([{"reference": "b"}] * 3)
    with pytest.raises(DataError, match="none of 3 questions of mcq with the same id is the same"):
        compare(config([str(first), str(second)], tmp_path / "out"))


def test_a_line_that_is_no_object(tmp_path: Path) -> None:
    folders = [run(tmp_path / name, [0, 1]) for name in "ab"]
    (tmp_path / "a" / "samples.jsonl").write_text("[1]\n")
    with pytest.raises(DataError, match=r"line 1 of .* is no object"):
        compare(config(folders, tmp_path / "out"))


def test_a_judge_that_cannot_be_read(tmp_path: Path) -> None:
    """A tiny random model is a judge who says nothing: every pair is asked in both orders, and that is told."""
    model = save_tiny(tmp_path / "model")
    folders = [run(tmp_path / name, [0, 1, 1]) for name in ("a", "b")]
    judge = {"model": str(model), "max_new_tokens": 4}
    with pytest.raises(DataError, match="nothing that can be read"):
        compare(config(folders, tmp_path / "out", judge=judge))
    lines = (tmp_path / "out" / "judged-mcq-a-b" / "judgements.jsonl").read_text().splitlines()
    assert len(lines) == 6
    assert len({json.loads(line)["key"] for line in lines}) == 6


def test_answers_without_grades_can_still_be_judged_side_by_side(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    folders = [run(tmp_path / name, [0, 1], metric="judge") for name in "ab"]
    for folder in map(Path, folders):
        lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
        bare = [{**{key: line[key] for key in line if key != "scores"}, "error": "no grade"} for line in lines]
        write_result(Result("mcq", "judge", {"grade": Estimate(None, None, None, 0)}), bare, folder)
    with pytest.raises(DataError, match="no score of the same question of mcq"):
        compare(config(folders, tmp_path / "out"))
    values = config(folders, tmp_path / "out", judge={"model": str(model), "max_new_tokens": 4})
    with pytest.raises(DataError, match="nothing that can be read"):
        compare(values)
    path = tmp_path / "out" / "judged-mcq-a-b" / "judgements.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    said = ["Better: 2", "Better: 1"] * 2
    path.write_text(
        "".join(json.dumps({**line, "judgement": text}) + "\n" for line, text in zip(lines, said, strict=True))
    )
    (row,) = compare(values)
    assert (row.title, row.found.second) == ("judged better", 100.0)


def test_judgements_decide(tmp_path: Path) -> None:
    """Judgements that are there already are used: of three pairs one win, one loss, one change with the place."""
    model = save_tiny(tmp_path / "model")
    folders = [run(tmp_path / name, [0, 1, 1]) for name in ("a", "b")]
    values = config(folders, tmp_path / "out", judge={"model": str(model), "max_new_tokens": 4})
    with pytest.raises(DataError):
        compare(values)
    path = tmp_path / "out" / "judged-mcq-a-b" / "judgements.jsonl"
    said = ["Better: 2", "Better: 1", "Better: 1", "Better: 2", "Better: 1", "Better: 1"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(json.dumps({**line, "judgement": text}) + "\n" for line, text in zip(lines, said, strict=True))
    )
    rows = compare(values)
    assert rows[-1].title == "judged better"
    assert (rows[-1].found.better, rows[-1].found.worse, rows[-1].found.second) == (1, 1, 50.0)


def judged(model: Path, judge: Path, rows: Path, out: Path) -> EvalConfig:
    return EvalConfig.model_validate(
        {
            "model": {"id": str(model), "dtype": "float32", "device": "cpu"},
            "data": {"train": [str(rows)]},
            "generation": {"max_new_tokens": 4},
            "metric": "judge",
            "judge": {"model": str(judge), "max_new_tokens": 4},
            "output_dir": str(out),
        }
    )


def test_grades(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_tiny(tmp_path / "model")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"query": word, "response": "x"}) + "\n" for word in ("one", "two")))
    values = judged(model, model, rows, tmp_path / "out")
    (result,) = evaluate(values)
    assert (result.scores["grade"].value, result.failed) == (None, 2)
    assert "2 turns without a grade; samples.jsonl says why" in " ".join(capsys.readouterr().out.split())
    path = tmp_path / "out" / "judgements.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(
            json.dumps({**line, "judgement": f"Grade: {grade}"}) + "\n"
            for line, grade in zip(lines, (10, 1), strict=True)
        )
    )
    (result,) = evaluate(values)
    assert (result.scores["grade"].value, result.scores["grade"].count) == (50.0, 2)
    samples = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert [line["scores"]["grade"] for line in samples] == [10, 1]


def test_a_judge_with_other_weights_judges_in_another_folder(tmp_path: Path) -> None:
    model, judge = save_tiny(tmp_path / "model"), save_tiny(tmp_path / "judge")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"query": "one", "response": "x"}) + "\n")
    values = judged(model, judge, rows, tmp_path / "out")
    evaluate(values)
    evaluate(values)
    os.utime(judge / "model.safetensors", ns=(1, 1))
    with pytest.raises(DataError, match="other settings: weights of the judge"):
        evaluate(values)


def test_the_judges_engine() -> None:
    from swift.config.benchmark import JudgeConfig

    served = engine_of(JudgeConfig(model="m", url="http://h/v1", key_variable="KEY"))
    assert served.model_dump()["url"] == "http://h/v1"
    assert (served.type, engine_of(JudgeConfig(model="m")).type) == ("openai", "transformers")
    assert engine_of(JudgeConfig(model="m", engine="vllm")).type == "vllm"
