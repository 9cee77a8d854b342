"""What a user gets wrong about `swift eval`: refused before any weights are read.

The model's weights file is garbage: whatever reads it says so, and not what these tests expect.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.cli.main import main
from swift.models.tiny import save_tiny
from tests.recipes.test_bad_tuners import Case, refused

CASES: dict[str, Case] = {
    "nothing to ask": ("", r"--dataset.*is required", r"--eval_dataset humaneval"),
    "rows twice": ("--dataset rows.jsonl --val_dataset rows.jsonl", r"--val_dataset.*--dataset too", r"one of them"),
    "rows and a benchmark": ("--dataset rows.jsonl --eval_dataset mcq=q.csv", r"--eval_dataset.*--dataset", r"once"),
    "unknown benchmark": ("--eval_dataset humanevl", r"unknown benchmark 'humanevl'", r"did you mean humaneval"),
    "unknown subset": ("--eval_dataset bfcl:multipel", r"subset of bfcl 'multipel'", r"did you mean multiple"),
    "a subset of a whole": ("--eval_dataset mcq:x=q.csv", r"mcq has no subsets", r"name it as mcq"),
    "no questions of one's own": ("--eval_dataset mcq", r"mcq needs a file", r"mcq=questions\.csv"),
    "no such file": ("--eval_dataset mcq=none.csv", r"no such file.*none\.csv", r"exists"),
    "no name": ("--eval_dataset =q.csv", r"'=q\.csv' is not NAME", r"mcq=questions\.csv"),
    "no file": ("--eval_dataset mcq=", r"'mcq=' is not NAME", r"mcq=questions\.csv"),
    "no subset": ("--eval_dataset bfcl:", r"'bfcl:' is not NAME", r"."),
    "code that was not allowed": ("--eval_dataset humaneval=he.jsonl", r"humaneval.*runs code", r"--run_code true"),
    "a set twice": ("--eval_dataset mcq=q.csv mcq=q.csv", r"mcq=q\.csv.*twice", r"once"),
    "a metric for a benchmark": ("--eval_dataset mcq=q.csv --metric exact", r"--metric.*bring their own", r"out"),
    "unknown metric": ("--dataset rows.jsonl --metric exakt", r"--metric.*exakt", r"."),
    "unknown backend": ("--dataset rows.jsonl --eval_backend opencompas", r"--eval_backend.*opencompas", r"."),
    "a limit of none": ("--eval_dataset mcq=q.csv --eval_limit 0", r"--eval_limit.*0", r"."),
    "fewer than no shots": ("--eval_dataset mcq=q.csv --few_shot -1", r"--few_shot.*-1", r"."),
    "shots for rows": ("--dataset rows.jsonl --few_shot 2", r"--few_shot.*benchmarks", r"--eval_dataset"),
    "more shots than rows": ("--eval_dataset mcq=q.csv --few_shot 9", r"--few_shot 9.*leave only 2", r"lower"),
    "pass@10 of one": ("--eval_dataset humaneval --run_code true --pass_at 10", r"--pass_at.*10", r"--eval_samples 10"),
    "pass@0": ("--eval_dataset humaneval --run_code true --pass_at 0", r"--pass_at.*0 is no number", r"1 10"),
    "greedy answers that are all the same": (
        "--eval_dataset humaneval --run_code true --eval_samples 4",
        r"--eval_samples.*all the same",
        r"--temperature 0\.8",
    ),
    "code of rows": ("--dataset rows.jsonl --run_code true", r"--run_code.*benchmarks", r"humaneval"),
    "no time for code": ("--eval_dataset mcq=q.csv --code_seconds 0", r"--code_seconds.*0", r"."),
    "no memory for code": ("--eval_dataset mcq=q.csv --code_megabytes 1", r"--code_megabytes.*1", r"."),
    "an answer that is no choice": ("--eval_dataset mcq=wrong.csv", r"row 2 of wrong\.csv.*'E'.*A, B, C, D", r"mend"),
    "a row without choices": ("--eval_dataset mcq=bare.jsonl", r"row 1 of bare\.jsonl.*neither columns", r"mend"),
    "a row that is no JSON": ("--eval_dataset mcq=broken.jsonl", r"row 2 of broken\.jsonl", r"mend"),
    "a file without rows": ("--eval_dataset mcq=empty.jsonl", r"empty\.jsonl.*no rows", r"."),
    "a file of no rows": ("--eval_dataset mcq=notes.docx", r"format of notes\.docx", r"jsonl"),
    "a choice too few": ("--eval_dataset arc_easy=arc.jsonl", r"row 1 of arc\.jsonl.*choices", r"mend"),
    "a problem without tests": (
        "--eval_dataset humaneval=he.jsonl --run_code true",
        r"row 1 of he\.jsonl.*'test'.*missing",
        r"mend",
    ),
    "a folder without BFCL": ("--eval_dataset bfcl:multiple=folder", r"folder holds no BFCL_v4_multiple", r"data"),
    "an endless answer to GSM8K": ("--eval_dataset gsm8k=bare.jsonl", r"row 1 of bare\.jsonl.*'answer'", r"mend"),
    "a schema for another metric": (
        "--dataset rows.jsonl --json_schema bare.jsonl",
        r"--json_schema.*toolbench",
        r"json",
    ),
    "no schema": ("--dataset rows.jsonl --metric json --json_schema none.json", r"--json_schema.*none\.json", r"file"),
    "a schema that is none": (
        "--dataset rows.jsonl --metric json --json_schema schema.json",
        r"schema\.json is no JSON Schema",
        r"json-schema\.org",
    ),
    "no turn to judge": ("--dataset rows.jsonl --metric calls", r"no turn is left.*1 rows without tools", r"--metric"),
    "no judge": ("--dataset rows.jsonl --metric judge", r"--judge.*is required", r"--judge MODEL"),
    "nothing to judge": ("--dataset rows.jsonl --metric exact --judge x", r"--judge.*nothing to judge", r"--metric"),
    "a judge at no address": (
        "--dataset rows.jsonl --metric judge --judge_url localhost",
        r"--judge_url.*'localhost' is no address",
        r"http",
    ),
    "a judge nowhere": (
        "--dataset rows.jsonl --metric judge --judge x --judge_engine openai",
        r"--judge_engine.*address",
        r"--judge_url",
    ),
    "a judge in two places": (
        "--dataset rows.jsonl --metric judge --judge x --judge_engine vllm --judge_url http://h/v1",
        r"--judge_url.*vllm too",
        r"one of them",
    ),
    "a run alone": ("--compare out", r"--compare.*one run", r"two"),
    "a run with itself": ("--compare out out", r"--compare.*out.*twice", r"once"),
    "a comparison that asks": ("--compare a b --dataset rows.jsonl", r"--compare.*asks nothing", r"out"),
    "runs that are not there": ("--compare a b", r"a is no folder", r"--output_dir"),
    "runs that are none": ("--compare folder .", r"folder holds no summary\.json", r"--output_dir"),
    "two adapters": ("--dataset rows.jsonl --adapters a b", r"--adapters.*2 adapters", r"one at a time"),
    "nothing to merge": ("--dataset rows.jsonl --merge_lora true", r"--merge_lora.*no adapter", r"--adapters"),
    "rows that never end": ("--dataset rows.jsonl --streaming", r"--streaming.*counted", r"out"),
    "a folder that is a file": ("--eval_dataset mcq=q.csv --output_dir q.csv", r"--output_dir q\.csv", r"folder"),
    "no set of evalscope": ("--eval_backend evalscope", r"--eval_dataset.*names no set of evalscope", r"general_mcq"),
    "no evalscope": (
        "--eval_backend evalscope --eval_dataset gsm8k",
        r"environment evalscope is not installed",
        r"swift env add evalscope",
    ),
    "evalscope's arguments for our own sets": (
        "--eval_dataset mcq=q.csv --eval_dataset_args mcq=1",
        r"--eval_dataset_args.*need --eval_backend evalscope",
        r"add it",
    ),
    "OpenCompass": (
        "--eval_backend evalscope --eval_dataset gsm8k --evalscope_backend OpenCompass",
        r"--evalscope_backend OpenCompass.*archive",
        r"evalscope's own sets",
    ),
    "VLMEvalKit": (
        "--eval_backend evalscope --eval_dataset MME --evalscope_backend VLMEvalKit",
        r"--evalscope_backend VLMEvalKit.*4\.11\.1",
        r"vqa",
    ),
    "ms-swift's word for it": (
        "--eval_backend OpenCompass --eval_dataset mmlu",
        r"--eval_backend.*OpenCompass",
        r".",
    ),
    "an option that is ours": (
        '--eval_backend evalscope --eval_dataset gsm8k --extra_eval_args {"limit":3}',
        r"--extra_eval_args.*limit is set by an option of swift",
        r"take it out",
    ),
    "arguments of a set that is not asked": (
        '--eval_backend evalscope --eval_dataset gsm8k --eval_dataset_args {"arc":{}}',
        r"--eval_dataset_args.*arc is not among",
        r"add it",
    ),
    "arguments that are none": (
        '--eval_backend evalscope --eval_dataset gsm8k --eval_dataset_args {"gsm8k":2}',
        r"--eval_dataset_args.*gsm8k has 2",
        r"few_shot_num",
    ),
    "arguments that are no JSON": (
        "--eval_backend evalscope --eval_dataset gsm8k --eval_dataset_args {gsm8k",
        r"--eval_dataset_args.*neither JSON",
        r".",
    ),
    "rows for evalscope": (
        "--eval_backend evalscope --eval_dataset gsm8k --dataset rows.jsonl",
        r"--dataset.*evalscope judges by its own sets",
        r".",
    ),
    "choices by likelihood of evalscope": (
        "--eval_backend evalscope --eval_dataset gsm8k --choice_by generate",
        r"--choice_by.*own way",
        r"take it out",
    ),
    "a checkpoint beside an address": (
        "--eval_backend evalscope --eval_dataset gsm8k --eval_url http://127.0.0.1:9/v1",
        r"--model.*evalscope sends messages",
        r"take it out",
    ),
    "sampling in another's words": (
        '--eval_backend evalscope --eval_dataset gsm8k --eval_generation_config {"temperature":1}',
        r"--eval_generation_config",
        r"--temperature",
    ),
    "no network": ("--eval_dataset gsm8k", r"gsm8k.*cannot be reached", r"connection"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny(tmp_path_factory.mktemp("tiny") / "model")
    (folder / "model.safetensors").write_bytes(b"nothing of the kind")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    header, good = "question,A,B,C,D,answer", "q,a,b,c,d,A"
    files = {
        "rows.jsonl": json.dumps({"query": "q", "response": "r"}),
        "q.csv": "\n".join([header, good, good, good]),
        "wrong.csv": "\n".join([header, good, "q,a,b,c,d,E"]),
        "bare.jsonl": json.dumps({"question": "q"}),
        "broken.jsonl": json.dumps({"question": "q", "choices": ["a", "b"], "answer": 0}) + "\n{",
        "empty.jsonl": "",
        "notes.docx": "x",
        "arc.jsonl": json.dumps({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"}),
        "he.jsonl": json.dumps({"task_id": "0", "prompt": "def f():\n", "entry_point": "f"}),
        "schema.json": json.dumps({"type": "objekt"}),
        "folder/x.txt": "x",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", list(CASES))
def test_bad_input(name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, said, way_out = CASES[name]
    base = [] if "--output_dir" in words else ["--output_dir", "out"]
    refused(["eval", "--model", str(model), "--device", "cpu", *base, *words.split()], said, way_out, capfd)


def test_no_model(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(["eval", "--dataset", "rows.jsonl"], r"--model.*is required", r"such as --model", capfd)


def test_weights_would_be_told_of(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With good input the garbage is met: the tests above would see it."""
    argv = ["eval", "--model", str(model), "--device", "cpu", "--eval_dataset", "mcq=q.csv", "--output_dir", "out"]
    assert main(argv) == 2
    assert "model.safetensors" in capfd.readouterr().err


def test_the_benchmarks_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--eval_dataset", "list"]) == 0
    shown = capfd.readouterr().out
    assert all(name in shown for name in ("humaneval", "bfcl", "gsm8k", "mcq"))


def test_the_cases_are_many() -> None:
    assert len(CASES) >= 50
