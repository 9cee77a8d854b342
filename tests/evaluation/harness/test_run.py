"""lm-eval over our engine, against lm-eval's own model of transformers on the same checkpoint."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from swift.api import evaluate
from swift.cli.main import main
from swift.config.parse import parse
from swift.config.runs import EvalConfig
from swift.engines.transformers import TransformersEngine
from swift.evaluation.result import Result, read_summary
from swift.models.tiny import save_tiny
from tests.engines.support import WORDS, save_adapter

CHOICE, ANSWER, TEXT = "tiny_choice", "tiny_answer", "tiny_text"


def words(rng: random.Random, most: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, most)))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rng = random.Random(0)
    rows: dict[str, list[dict[str, Any]]] = {CHOICE: [], ANSWER: [], TEXT: []}
    for _ in range(12):
        row = {"question": words(rng, 20), "choices": [words(rng, 9) for _ in range(4)], "right": rng.randrange(4)}
        rows[CHOICE].append(row)
        rows[ANSWER].append({"question": row["question"], "answer": row["choices"][0]})
        rows[TEXT].append({"text": words(rng, 900)})
    parts = {
        CHOICE: {
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_target": "right",
            "doc_to_choice": "choices",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        },
        ANSWER: {
            "output_type": "generate_until",
            "doc_to_text": "{{question}}",
            "doc_to_target": "answer",
            "generation_kwargs": {"until": ["e", "\n"], "max_gen_toks": 12},
            "metric_list": [{"metric": "exact_match"}],
        },
        TEXT: {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "text",
            "metric_list": [{"metric": "word_perplexity"}],
        },
    }
    for name, part in parts.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows[name]))
        common = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
        }
        (folder / f"{name}.yaml").write_text(json.dumps(common | part))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "model", "llama")


def config(model: Path, tasks: Path, out: Path, *more: str, names: tuple[str, ...] = (CHOICE, ANSWER, TEXT)) -> Any:
    argv = ["--model", str(model), "--torch_dtype", "float32", "--eval_backend", "lm_eval"]
    argv += ["--include_path", str(tasks)]
    return parse(EvalConfig, [*argv, "--eval_dataset", *names, "--output_dir", str(out), *more]).config


def samples(out: Path, task: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / task / "samples.jsonl").read_text().splitlines()]


def theirs(model: Path, tasks: Path, **options: Any) -> dict[str, Any]:
    from lm_eval.models.huggingface import HFLM

    own = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=4)
    manager = TaskManager(include_path=str(tasks))
    found: dict[str, Any] = simple_evaluate(
        model=own,
        tasks=[CHOICE, ANSWER, TEXT],
        task_manager=manager,
        bootstrap_iters=0,
        random_seed=42,
        numpy_random_seed=42,
        torch_random_seed=42,
        fewshot_random_seed=42,
        **options,
    )
    return found


def require_same(found: dict[str, Any], out: Path, results: tuple[Result, ...]) -> None:
    """Every likelihood and every text."""
    for task in (CHOICE, ANSWER, TEXT):
        for mine, own in zip(samples(out, task), found["samples"][task], strict=True):
            answers = [response[0] for response in own["resps"]]
            if task == ANSWER:
                assert mine["response"] == answers[0]
            elif task == TEXT:
                assert mine["logprobs"] == pytest.approx(answers, rel=1e-4)
            else:
                assert mine["logprobs"] == pytest.approx([logprob for logprob, _ in answers], rel=1e-4)
                assert mine["greedy"] == [greedy for _, greedy in answers]
    by_name = {result.name: result for result in results}
    values = found["results"]
    assert by_name[CHOICE].scores["acc"].value == pytest.approx(100 * values[CHOICE]["acc,none"])
    assert by_name[CHOICE].scores["acc_norm"].value == pytest.approx(100 * values[CHOICE]["acc_norm,none"])
    perplexity = by_name[TEXT].scores["word_perplexity"].value
    assert perplexity == pytest.approx(values[TEXT]["word_perplexity,none"], rel=1e-3)
    assert read_summary(out / CHOICE) == by_name[CHOICE]


def test_every_sample_is_that_of_hf(model: Path, tasks: Path, tmp_path: Path) -> None:
    results = evaluate(config(model, tasks, tmp_path))
    require_same(theirs(model, tasks), tmp_path, results)
    assert (tmp_path / "report.html").is_file()


def test_chats_and_solved_examples_are_those_of_hf(model: Path, tasks: Path, tmp_path: Path) -> None:
    shots = ["--few_shot", "2", "--eval_limit", "5", "--apply_chat_template", "true"]
    results = evaluate(config(model, tasks, tmp_path, *shots))
    found = theirs(model, tasks, num_fewshot=2, limit=5, apply_chat_template=True, fewshot_as_multiturn=True)
    require_same(found, tmp_path, results)
    asked = [line["asked"] for line in samples(tmp_path, CHOICE)]
    assert asked == [str(sample["arguments"][0][0]) for sample in found["samples"][CHOICE]]
    assert asked[0].count("<|im_start|>user") == 3


def test_a_stopped_run_goes_on_where_it_was(
    model: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(config(model, tasks, tmp_path / "whole"))
    cut = tmp_path / "cut"
    evaluate(config(model, tasks, cut, "--eval_limit", "3"))
    lines = (cut / "responses.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "responses.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:20])
    asked: list[int] = []
    real = TransformersEngine.score_ids

    def counted(self: Any, given: Any, on_done: Any, **options: Any) -> None:
        asked.append(len(given))
        real(self, given, on_done, **options)

    monkeypatch.setattr(TransformersEngine, "score_ids", counted)
    again = evaluate(config(model, tasks, cut))
    assert asked[0] == 12 * 4 - 9
    assert [result.scores for result in again] == [result.scores for result in whole]
    asked.clear()
    evaluate(config(model, tasks, cut))
    assert asked == []


def test_an_adapter_is_asked(model: Path, tasks: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", model, seed=1)
    evaluate(config(model, tasks, tmp_path / "bare", names=(CHOICE,)))
    evaluate(config(model, tasks, tmp_path / "tuned", "--adapters", str(adapter), names=(CHOICE,)))
    merged = ["--adapters", str(adapter), "--merge_lora", "true"]
    evaluate(config(model, tasks, tmp_path / "merged", *merged, names=(CHOICE,)))
    bare, tuned, whole = (
        [line["logprobs"] for line in samples(tmp_path / name, CHOICE)] for name in ("bare", "tuned", "merged")
    )
    assert tuned[0] != pytest.approx(bare[0], rel=1e-3)
    assert [value for row in tuned for value in row] == pytest.approx([v for row in whole for v in row], rel=1e-3)


def test_mistakes_are_one_line(
    model: Path, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    base = ["eval", "--model", str(model), "--eval_backend", "lm_eval", "--output_dir", str(tmp_path / "out")]
    own = ["--include_path", str(tasks)]
    for argv, message in (
        ([], "--eval_dataset: names no task"),
        ([*own, "--eval_dataset", "tiny_choise"], "unknown lm-eval task 'tiny_choise'"),
        (["--include_path", "nowhere", "--eval_dataset", "arc_easy"], "no folder nowhere"),
        ([*own, "--eval_dataset", CHOICE, "--dataset", "rows.jsonl"], "--dataset"),
        ([*own, "--eval_dataset", CHOICE, "--system", "Be brief."], "--system"),
        ([*own, "--eval_dataset", ANSWER, "--max_new_tokens", "5"], "--max_new_tokens"),
        ([*own, "--eval_dataset", ANSWER, "--temperature", "0.5"], "--temperature"),
        ([*own, "--eval_dataset", ANSWER, "--stop_words", "x"], "--stop_words"),
        ([*own, "--eval_dataset", ANSWER, "--eval_samples", "2"], "--eval_samples"),
        ([*own, "--eval_dataset", ANSWER, "--metric", "exact"], "--metric"),
    ):
        assert main([*base, *argv]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "Traceback" not in told


def test_a_task_without_data_is_one_line(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = {
        "task": "lost",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "lost.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
    }
    (tmp_path / "lost.yaml").write_text(json.dumps(task))
    argv = ["eval", "--model", str(model), "--eval_backend", "lm_eval", "--include_path", str(tmp_path)]
    assert main([*argv, "--eval_dataset", "lost", "--output_dir", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "lm-eval task lost" in told
    assert "Traceback" not in told
