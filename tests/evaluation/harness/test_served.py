"""Likelihoods over the address of `swift deploy`: those of the engine with the same checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.lm_eval_tasks import CHOICE as REAL_CHOICE
from benchmarks.lm_eval_tasks import TEXT as REAL_TEXT
from benchmarks.lm_eval_tasks import write_tasks
from swift.api import evaluate
from swift.config.parse import parse
from swift.config.runs import EvalConfig
from tests.engines.support import save_adapter
from tests.evaluation.harness.test_run import CHOICE, TEXT, samples
from tests.evaluation.harness.test_run import model as model
from tests.evaluation.harness.test_run import tasks as tasks
from tests.serving.support import Running, launched

DATA = Path(os.environ.get("SWIFT_TEST_DATA", "absent"))


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(tmp_path_factory.mktemp("adapter") / "adapter", model, seed=1)


@pytest.fixture(scope="module")
def server(model: Path, adapter: Path) -> Iterator[Running]:
    with deployed(model, "--adapters", f"tone={adapter}", "--served_model_name", "tiny") as running:
        yield running


def deployed(model: Path, *words: str) -> Any:
    words = ("--model", str(model), "--port", "0", "--torch_dtype", "float32", *words)
    return launched("-m", "swift", "deploy", *words)


def url_of(running: Running) -> str:
    return f"{running.wait_for(r'^serving at ([^ ]+)')[1]}/v1"


def scored(tasks: Path, out: Path, names: tuple[str, ...], *words: str) -> dict[str, list[dict[str, Any]]]:
    argv = ["--eval_backend", "lm_eval", "--include_path", str(tasks), "--eval_dataset", *names]
    evaluate(parse(EvalConfig, [*argv, "--output_dir", str(out), *words]).config)
    return {name: samples(out, name) for name in names}


def require_same(here: dict[str, list[dict[str, Any]]], there: dict[str, list[dict[str, Any]]]) -> None:
    """Every likelihood, and what is greedy."""
    for name, lines in here.items():
        for mine, other in zip(lines, there[name], strict=True):
            assert other["logprobs"] == pytest.approx(mine["logprobs"], rel=1e-5)
            assert other.get("greedy") == mine.get("greedy")
            assert other["scores"] == {
                key: None if value is None else pytest.approx(value, rel=1e-5) for key, value in mine["scores"].items()
            }


@pytest.mark.parametrize("name", ["base", "tone"])
def test_every_likelihood_is_the_engines(
    name: str, server: Running, model: Path, adapter: Path, tasks: Path, tmp_path: Path
) -> None:
    names, plain = (CHOICE, TEXT), ["--model", str(model), "--torch_dtype", "float32"]
    tuned = ["--adapters", str(adapter)] if name == "tone" else []
    here = scored(tasks, tmp_path / "here", names, *plain, *tuned)
    served = ["--served_model_name", "tone" if name == "tone" else "tiny"]
    there = scored(tasks, tmp_path / "there", names, "--eval_url", url_of(server), "--model", str(model), *served)
    require_same(here, there)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="SWIFT_TEST_DATA names no folder")
def test_scores_of_a_real_model_are_the_engines(tmp_path: Path) -> None:
    rows, texts = DATA / "alpaca_en_demo.json", DATA / "wiki_demo.txt"
    write_tasks(tmp_path / "tasks", rows, texts, choices=12, answers=4, characters=400)
    model = model_folder(DEFAULT_MODEL)
    names, words = (REAL_CHOICE, REAL_TEXT), ["--model", str(model), "--eval_limit", "12"]
    here = scored(tmp_path / "tasks", tmp_path / "here", names, *words, "--torch_dtype", "float32")
    with deployed(model) as running:
        there = scored(tmp_path / "tasks", tmp_path / "there", names, *words, "--eval_url", url_of(running))
    require_same(here, there)
    for name in names:
        summaries = [json.loads((tmp_path / side / name / "summary.json").read_text()) for side in ("here", "there")]
        values = [{key: score["value"] for key, score in summary["scores"].items()} for summary in summaries]
        assert values[1] == pytest.approx(values[0], rel=1e-6)
