"""Benchmarks from local files in the form of the real ones: what is asked, and what a tiny model's run leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from swift.config.runs import EvalConfig
from swift.errors import ConfigError, DataError
from swift.evaluation.benchmarks.registry import Wish, benchmarks, parse_wish
from swift.evaluation.page import rendered
from swift.evaluation.run import evaluate
from swift.evaluation.task import Task
from swift.evaluation.tasks import tasks_of
from swift.models.tiny import save_tiny

CHOICE = {"question": "2 + 2?", "choices": ["3", "4", "5", "6"], "answer": 1, "subject": "sums"}
ROWS: dict[str, tuple[Mapping[str, Any], Any]] = {
    "mmlu": (CHOICE, "B"),
    "mmlu_pro": ({"question": "q", "options": ["a", "b", "N/A"], "answer": "B", "category": "law"}, "B"),
    "ceval": ({"id": 0, "question": "问", "A": "甲", "B": "乙", "C": "丙", "D": "丁", "answer": "C"}, "C"),
    "cmmlu": ({"Question": "问", "A": "甲", "B": "乙", "C": "丙", "D": "丁", "Answer": "D"}, "D"),
    "arc_easy": ({"question": "q", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}, "B"),
    "arc_challenge": ({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}, "A"),
    "hellaswag": ({"ctx": "He", "endings": ["runs", "is", "a", "x"], "label": "2"}, "a"),
    "truthfulqa": ({"question": "q", "mc1_targets": {"choices": ["no", "yes"], "labels": [0, 1]}}, "yes"),
    "winogrande": ({"sentence": "The _ ran", "option1": "dog", "option2": "cat", "answer": "2"}, "cat"),
    "gsm8k": ({"question": "q", "answer": "1 + 1 = 2\n#### 1,002"}, "1,002"),
    "squad": ({"id": "x", "context": "c", "question": "q", "answers": {"text": ["one", "two", "one"]}}, "one"),
    "triviaqa": ({"question": "q", "answer": {"value": "v", "aliases": ["w"]}}, "v"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


def config(sets: list[str], out: Path, model: Path | str = "none", **options: Any) -> EvalConfig:
    values = {name: options.pop(name) for name in list(options) if name in ("generation", "seed", "max_batch_size")}
    return EvalConfig.model_validate(
        {
            "model": {"id": str(model), "dtype": "float32", "device": "cpu"},
            "benchmark": {"sets": sets, **options},
            "generation": {"max_new_tokens": 6},
            "output_dir": str(out),
            **values,
        }
    )


def written(folder: Path, rows: list[Mapping[str, Any]], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def only(found: list[Task]) -> Task:
    (task,) = found
    return task


@pytest.mark.parametrize("name", list(ROWS))
def test_a_row_becomes_a_question(name: str, tmp_path: Path) -> None:
    row, right = ROWS[name]
    path = written(tmp_path, [row, row])
    task = only(tasks_of(config([f"{name}={path}"], tmp_path, shots=0)))
    assert len(task.items) == 2
    item = task.items[0]
    assert item.reference == right
    assert item.prompt.messages[-1].role == "user"
    if item.choices:
        assert right in item.choices
    assert task.facts["origin"] == str(path)
    # Nothing of the answer stands in the question but as one of the choices.
    assert "####" not in item.prompt.messages[0].content.replace("`#### `", "")


def test_what_is_known_is_whole() -> None:
    for name in benchmarks.names():
        found = benchmarks.get(name)
        assert found.about
        assert found.prompt
        assert found.licence
    assert {"humaneval", "bfcl", "mcq", *ROWS} <= set(benchmarks.names())


def test_wishes() -> None:
    assert parse_wish("bfcl:simple_python,multiple=x=y") == Wish("bfcl", ("simple_python", "multiple"), "x=y")
    assert parse_wish("mmlu:law").label == "mmlu-law"
    assert parse_wish("bfcl:simple_python,multiple,parallel,irrelevance").label == "bfcl-4sets"


@pytest.mark.parametrize(
    ("sets", "label"),
    [
        (["mcq=a.jsonl", "mcq=b.jsonl"], "mcq"),
        (["mmlu:a,b,c,d", "mmlu:e,f,g,h"], "mmlu-4sets"),
    ],
)
def test_sets_that_would_share_a_folder_are_refused(sets: list[str], label: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{sets[0]} and {sets[1]} would both be called {label}"):
        tasks_of(config(sets, tmp_path))


_QUESTION = {"question": "q"}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("mcq", {**CHOICE, "answer": "²"}, "'²' is none of A, B, C, D"),
    ("mcq", {**_QUESTION, "choices": ["hi", "AB"], "answer": "C"}, "none of A, B"),
    ("hellaswag", {"ctx": "c", "endings": ["a", "b"], "label": 5}, "5 is none of 0, 1"),
    ("winogrande", {"sentence": "_", "option1": "x", "option2": "y", "answer": "0"}, "'0' is none of 1, 2"),
    ("mmlu_pro", {**_QUESTION, "options": ["N/A", "b", "c"], "answer": "A"}, "is the choice N/A"),
    ("truthfulqa", {**_QUESTION, "mc1_targets": {"labels": [0, 1]}}, "choices are not a list"),
    ("truthfulqa", {**_QUESTION, "mc1_targets": {"choices": ["a", "b"], "labels": [0, 0, 1]}}, "not a list of 2"),
    ("truthfulqa", {**_QUESTION, "mc1_targets": {"choices": ["a", "b"], "labels": None}}, "not a list of 2"),
    ("arc_easy", {**_QUESTION, "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"}, "not a list of 2"),
    ("triviaqa", {**_QUESTION, "answer": {"value": "v", "aliases": "w"}}, "no list of texts"),
    ("gsm8k", {**_QUESTION, "answer": "none"}, "has no number"),
]


@pytest.mark.parametrize(("name", "row", "why"), BAD)
def test_rows_that_are_told(name: str, row: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"row 1 of .*{why}"):
        tasks_of(config([f"{name}={written(tmp_path, [row])}"], tmp_path, shots=0))


GOOD: list[tuple[str, dict[str, Any], str]] = [
    ("mcq", {**_QUESTION, "choices": ["yes", "no"], "answer": "no"}, "B"),
    ("mcq", {**_QUESTION, "choices": ["hi", "AB"], "answer": "AB"}, "B"),
    ("mcq", {**_QUESTION, "choices": ["C", "D"], "answer": "D"}, "B"),
    ("mmlu_pro", {**_QUESTION, "options": ["a", "N/A", "c"], "answer": "C"}, "B"),
    ("triviaqa", {**_QUESTION, "answer": {"value": "v", "aliases": None}}, "v"),
]


@pytest.mark.parametrize(("name", "row", "right"), GOOD)
def test_rows_that_look_odd(name: str, row: dict[str, Any], right: str, tmp_path: Path) -> None:
    task = only(tasks_of(config([f"{name}={written(tmp_path, [row])}"], tmp_path, shots=0)))
    assert task.items[0].reference == right


def test_every_row_has_an_id_of_its_own(tmp_path: Path) -> None:
    squad = ROWS["squad"][0]
    rows = [{**squad, "id": name, "question": f"q{number}"} for number, name in enumerate((None, None, "x", "y", "y"))]
    task = only(tasks_of(config([f"squad={written(tmp_path, rows)}"], tmp_path, shots=0)))
    assert [item.id for item in task.items] == ["1", "2", "x", "y (row 4)", "y (row 5)"]


def test_choices_in_many_forms(tmp_path: Path) -> None:
    rows: list[Mapping[str, Any]] = [
        CHOICE,
        {**CHOICE, "answer": "b"},
        {**CHOICE, "answer": "4"},  # the text of a choice, not a number
        {"question": "q", "A": "x", "B": "y", "label": "B"},
        {"question": "q", "options": ["x", "y"], "answer_index": 1},
    ]
    task = only(tasks_of(config([f"mcq={written(tmp_path, rows)}"], tmp_path)))
    assert [item.reference for item in task.items] == ["B"] * 5
    assert task.metric_name == "choice"
    bare = tmp_path / "bare.csv"
    bare.write_text('"2 + 2?",3,4,5,6,B\n"1, or 2?",a,b,c,d,D\n')
    task = only(tasks_of(config([f"mmlu={bare}"], tmp_path, shots=0)))
    assert [item.reference for item in task.items] == ["B", "D"]
    assert "1, or 2?" in task.items[1].prompt.messages[0].content
    bare.write_text('"2 + 2?",3,4,5,6,B\nshort,B\n')
    with pytest.raises(DataError, match=r"row 2 of .*2 columns, not 6"):
        tasks_of(config([f"mmlu={bare}"], tmp_path, shots=0))


def _numbered(count: int) -> list[Mapping[str, Any]]:
    return [{**CHOICE, "question": f"question {number}?"} for number in range(count)]


def test_a_limit_draws_the_same_rows_and_a_larger_one_more(tmp_path: Path) -> None:
    path = written(tmp_path, _numbered(50))

    def drawn(limit: int, seed: int = 1) -> set[str]:
        return {item.id for item in only(tasks_of(config([f"mcq={path}"], tmp_path, limit=limit, seed=seed))).items}

    assert drawn(10) == drawn(10)
    assert drawn(10) < drawn(20) < drawn(50)
    assert drawn(10) != drawn(10, seed=2)
    assert drawn(10) != {str(number) for number in range(1, 11)}


def test_solved_examples_are_not_asked(tmp_path: Path) -> None:
    path = written(tmp_path, _numbered(12))
    task = only(tasks_of(config([f"mcq={path}"], tmp_path, shots=3)))
    assert len(task.items) == 9
    shown = [message.content for message in task.items[0].prompt.messages[:-1] if message.role == "user"]
    assert len(shown) == 3
    assert [message.content for message in task.items[0].prompt.messages if message.role == "assistant"] == ["B"] * 3
    assert not {item.prompt.messages[-1].content for item in task.items} & set(shown)


def test_a_run_of_several_sets(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    choices, sums = written(tmp_path, _numbered(6)), written(tmp_path, [ROWS["gsm8k"][0]] * 3, "sums.jsonl")
    sets = [f"mcq={choices}", f"gsm8k={sums}"]
    out = tmp_path / "out"
    results = evaluate(config(sets, out, model, shots=0, max_batch_size=2))
    assert [result.name for result in results] == ["mcq", "gsm8k"]
    assert [result.scores["accuracy"].count for result in results] == [6, 3]
    assert results[0].scores["chance"].value == 25.0
    assert results[0].scores["accuracy"].low is not None
    for name in ("mcq", "gsm8k"):
        assert {path.name for path in (out / name).iterdir()} >= {"predictions.jsonl", "samples.jsonl", "summary.json"}
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 1
    assert "mcq" in page
    assert "http" not in page.split("</style>")[1]
    before = (out / "mcq" / "predictions.jsonl").read_bytes()
    capfd.readouterr()
    assert evaluate(config(sets, out, model, shots=0))[0].scores == results[0].scores
    assert "6 of 6 answers are there already" in capfd.readouterr().err
    assert (out / "mcq" / "predictions.jsonl").read_bytes() == before
    with pytest.raises(DataError, match="made with other settings"):
        evaluate(config(sets, out, model, shots=0, seed=7))


def test_a_choice_by_what_is_said(model: Path, tmp_path: Path) -> None:
    path = written(tmp_path, _numbered(3))
    (result,) = evaluate(config([f"mcq={path}"], tmp_path / "out", model, choice_by="generate"))
    assert result.metric == "letter"
    assert set(result.scores) == {"accuracy", "read", "chance"}


def test_a_question_that_is_too_long_is_wrong(model: Path, tmp_path: Path) -> None:
    long = {**CHOICE, "question": "x " * 5000}
    (result,) = evaluate(config([f"mcq={written(tmp_path, [long])}"], tmp_path / "out", model))
    assert (result.failed, result.scores["accuracy"].value, result.scores["accuracy"].count) == (1, 0.0, 1)


def test_groups_stand_beside_the_whole(model: Path, tmp_path: Path) -> None:
    rows: list[Mapping[str, Any]] = [{**CHOICE, "question": f"{n}", "subject": "ab"[n % 2]} for n in range(4)]
    (result,) = evaluate(config([f"mcq={written(tmp_path, rows)}"], tmp_path / "out", model))
    assert {group: scores["accuracy"].count for group, scores in result.groups.items()} == {"a": 2, "b": 2}


def test_several_answers_to_a_problem(model: Path, tmp_path: Path) -> None:
    row = {"task_id": "0", "prompt": "def f():\n    '''1'''\n", "entry_point": "f", "test": "def check(f):\n    f()\n"}
    options = {"run_code": True, "samples": 3, "pass_at": (1, 2)}
    sampled = {"max_new_tokens": 4, "temperature": 1.0}
    sets = [f"humaneval={written(tmp_path, [row])}"]
    (result,) = evaluate(config(sets, tmp_path / "out", model, generation=sampled, **options))
    assert result.scores["pass@2"].count == 1
    lines = [json.loads(line) for line in (tmp_path / "out/humaneval/samples.jsonl").read_text().splitlines()]
    assert [line.get("sample", 0) for line in lines] == [0, 1, 2]
    assert len({line["response"] for line in lines}) > 1  # each has a seed of its own
    for limit in ({"code_seconds": 1.0}, {"code_megabytes": 512}):
        with pytest.raises(DataError, match=f"made with other settings: {next(iter(limit))}"):
            evaluate(config(sets, tmp_path / "out", model, generation=sampled, **options, **limit))


def test_reports_escape_what_models_say() -> None:
    page = rendered("report.html.j2", parts=[], overview=[], model="<script>alert(1)</script>")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
