"""Experiments of one file for real, on a tiny model: what is measured, what fails, what is not measured again."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from swift.cli.main import main
from swift.comparing.plan import read_plan
from swift.comparing.result import Result, load_result
from swift.comparing.run import bench
from swift.comparing.table import columns, markdown, write_tables
from swift.config.bench import BenchConfig
from swift.config.problems import ProblemsError
from swift.errors import ConfigError, TrainingError
from swift.models.tiny import save_tiny
from tests.rules.sources import ROOT
from tests.train.runs import write_rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", "llama")


@pytest.fixture
def file(tiny: Path, tmp_path: Path) -> Path:
    rows = write_rows(tmp_path / "rows.jsonl", 24, longest=8)
    choices = tmp_path / "choices.jsonl"
    line = {"query": "the cat", "response": "sat", "choices": ["sat", "barked"]}
    choices.write_text(json.dumps(line) + "\n" + json.dumps({**line, "query": "dogs"}) + "\n")
    path = tmp_path / "bench.yaml"
    values: dict[str, Any] = {
        "title": "Two & three",
        "common": {
            "model": {"id": str(tiny), "dtype": "float32", "device": "cpu"},
            "dataset": str(rows),
            "val_dataset": str(rows),
            "max_steps": 3,
            "logging_steps": 1,
            "learning_rate": 0.01,
        },
        "tasks": [
            {"name": "words", "metric": "exact", "dataset": str(rows), "max_new_tokens": 3},
            {"name": "choice", "metric": "choice", "dataset": str(choices)},
        ],
        "experiments": [
            {"name": "base", "train": False},
            {"name": "LoRA", "tuner_type": "lora", "lora_rank": 2},
            {"name": "full", "tuner": {"type": "full"}, "learning_rate": 0.001},
        ],
    }
    path.write_text(yaml.safe_dump(values))
    return path


def changed(file: Path, **values: Any) -> Path:
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **values}))
    return file


@pytest.mark.slow
def test_a_table_of_what_was_measured(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    base, lora, full = bench(BenchConfig(file=str(file), output_dir=str(out)))
    assert (base.trained, base.memory_gib, base.eval_loss) == (None, None, None)
    assert base.tasks.keys() == lora.tasks.keys() == full.tasks.keys() == {"words", "choice"}
    assert lora.trained is not None
    assert full.trained == full.total
    assert 0 < lora.trained < full.trained
    lines = [json.loads(line) for line in (out / "LoRA" / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line for line in lines if "loss" in line]
    assert lora.eval_loss == [line for line in lines if "eval_loss" in line][-1]["eval_loss"]
    assert min(line["loss"] for line in losses) <= (lora.train_loss or 0) <= max(line["loss"] for line in losses)
    assert (lora.samples_per_second or 0) > 0
    assert (lora.infer_tokens_per_second or 0) > 0
    table = list(csv.DictReader((out / "table.csv").open()))
    assert [row["experiment"] for row in table] == ["base", "LoRA", "full"]
    assert float(table[1]["eval loss"]) == lora.eval_loss
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 4
    assert "Two &amp; three" in page
    again = (out / "LoRA" / "run" / "run.json").stat().st_mtime_ns
    assert bench(BenchConfig(file=str(file), output_dir=str(out))) == (base, lora, full)
    assert (out / "LoRA" / "run" / "run.json").stat().st_mtime_ns == again


@pytest.mark.slow
def test_one_that_fails_does_not_stop_the_others(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"name": "nobody", "dataset": str(tmp_path / "gone.jsonl")}
    changed(file, tasks=[], experiments=[bad, {"name": "LoRA", "lora_rank": 2}])
    out = tmp_path / "out"
    with pytest.raises(TrainingError, match="1 of 2 experiments failed: nobody") as caught:
        bench(BenchConfig(file=str(file), output_dir=str(out)))
    assert "log.txt" in caught.value.hint
    failed, done = load_result(out / "nobody"), load_result(out / "LoRA")
    assert failed is not None
    assert "gone.jsonl" in failed.error
    assert done is not None
    assert not done.error
    assert "- nobody failed: " in (out / "table.md").read_text()
    assert main(["bench", str(file), "--output_dir", str(out), "--only", "LoRA"]) == 0
    assert "measured before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"experiment": []}, "unknown key 'experiment'"),
        ({"experiments": [{"tuner_type": "lora"}]}, "no name"),
        ({"experiments": [{"name": "a"}, {"name": "a"}]}, "the name 'a', or its folder 'a', stands here twice"),
        ({"experiments": [{"name": "a b"}, {"name": "a: b"}]}, "or its folder 'a-b', stands here twice"),
        ({"experiments": "a"}, "not a list of options"),
        ({"experiments": [{"name": "a", "tuner_type": "lorra"}]}, "'lorra' is not one of lora"),
        ({"experiments": [{"name": "a", "tuner_type": "full", "lora_rank": 4}]}, "but the tuner is full (in 'a')"),
        ({"experiments": [{"name": "a", "lora_rnk": 4}]}, "(in 'a')"),
        ({"tasks": [{"name": "t", "metric": "exakt", "dataset": "d"}]}, "(in 't')"),
        ({"tasks": [{"name": "t", "metric": "exact"}]}, "--dataset"),
    ],
)
def test_every_mistake_is_found_before_the_first_experiment(values: dict[str, Any], said: str, file: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        read_plan(str(changed(file, **values)))
    assert said in str(caught.value)
    assert main(["bench", str(file)]) == 2


def test_what_changes_an_experiment_changes_its_fingerprint(file: Path) -> None:
    first = read_plan(str(file))
    assert [experiment.name for experiment in first.experiments] == ["base", "LoRA", "full"]
    assert [experiment.trains for experiment in first.experiments] == [False, True, True]
    before = [first.fingerprint(experiment) for experiment in first.experiments]
    assert len(set(before)) == 3
    changed(file, tasks=[])
    second = read_plan(str(file))
    assert not {second.fingerprint(experiment) for experiment in second.experiments} & set(before)


def test_nothing_is_run_where_only_a_list_is_wanted(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["bench", str(file), "--output_dir", str(out), "--dry_run"]) == 0
    assert capsys.readouterr().err.splitlines() == ["base: not tuned", "LoRA: lora", "full: full"]
    assert not out.exists()
    assert main(["bench", str(file), "--output_dir", str(out), "--only", "LoRa"]) == 2
    assert "did you mean LoRA" in capsys.readouterr().err


def test_a_folder_of_somebody_else_is_not_touched(file: Path, tmp_path: Path) -> None:
    own = tmp_path / "LoRA"
    own.mkdir()
    (own / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds no experiment"):
        bench(BenchConfig(file=str(file), output_dir=str(tmp_path), only=("LoRA",)))
    assert (own / "thesis.txt").read_text() == "years of work"


def test_names_are_safe_in_tables(tmp_path: Path) -> None:
    rows = [Result("<b>|x", "f", tasks={"t": 50.0}, memory_gib=1.0, seconds=2.0), Result("y", "f", error="no & no")]
    write_tables("T", rows, ["t"], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<b>" not in page.split("<svg")[0]
    assert "no &amp; no" in page
    assert "| <b>\\|x |" in markdown(rows, columns(["t"]))


@pytest.mark.parametrize("name", ["small", "paper"])
def test_the_examples_are_right(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = read_plan(str(ROOT / "examples" / "bench" / f"{name}.yaml"))
    assert len(plan.experiments) >= 14
    assert not plan.experiments[0].trains
    assert {"full", "lora", "lisa", "llamapro", "adalora"} <= {each.config.tuner.type for each in plan.experiments}


def test_numbers_in_words(tmp_path: Path) -> None:
    """The rows of the small example against a library that knows how numbers are said."""
    from num2words import num2words

    subprocess.run([sys.executable, ROOT / "examples" / "bench" / "rows.py", tmp_path], check=True)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["response"] == num2words(int(row["query"].split()[1])).replace(",", "")
    tests = set((tmp_path / "test.jsonl").read_text().splitlines())
    assert len(tests) == 100
    assert not tests & {json.dumps(row) for row in rows}
    for line in (tmp_path / "capitals.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert len(set(row["choices"])) == 4
        assert row["response"] in row["choices"]
