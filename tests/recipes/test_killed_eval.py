"""`swift eval` that is killed in the midst, at random moments, goes on: same files in the end, nothing asked twice."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from swift.cli.main import main
from swift.models.tiny import save_tiny
from tests.engines.support import WORDS

pytestmark = pytest.mark.slow

ROWS, KILLS, BATCH = 150, 2, 1
SECONDS = 240.0
"""Longest time that a run may take to answer the first questions, on a busy machine."""


@dataclass(frozen=True)
class Kind:
    """A way to evaluate.

    Attributes:
        words: Of the command, but for model and folder.
        answers: The file of answers, below the output folder.
        samples: The file of results.
        at_once: Answers that are asked for together, which a kill may lose.
    """

    words: tuple[str, ...]
    answers: str
    samples: str
    at_once: int


KINDS = {
    "generation": Kind(
        ("--dataset", "rows.jsonl", "--metric", "exact", "--max_new_tokens", "24"),
        "predictions.jsonl",
        "samples.jsonl",
        2,
    ),
    "choices by likelihood": Kind(("--eval_dataset", "mcq=choices.csv"), "predictions.jsonl", "mcq/samples.jsonl", 2),
    "lm_eval": Kind(
        ("--eval_backend", "lm_eval", "--include_path", "tasks", "--eval_dataset", "killed"),
        "responses.jsonl",
        "killed/samples.jsonl",
        1,
    ),
}
TASK = {
    "task": "killed",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{query}}",
    "doc_to_target": "response",
    "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 24},
    "metric_list": [{"metric": "exact_match"}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and questions in all forms."""
    folder = tmp_path_factory.mktemp("killed")
    save_tiny(folder / "model")
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=8)) + f" {number}" for number in range(ROWS)]
    rows = [json.dumps({"query": text, "response": "one"}) for text in texts]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    choices = [f"{text},one,two,three,four,B" for text in texts]
    (folder / "choices.csv").write_text("\n".join(["question,A,B,C,D,answer", *choices]) + "\n")
    (folder / "tasks").mkdir()
    data = {"data_files": {"test": str(folder / "rows.jsonl")}}
    (folder / "tasks" / "killed.yaml").write_text(json.dumps({**TASK, "dataset_kwargs": data}))
    return folder


def command(kind: Kind, out: str) -> list[str]:
    base = ["eval", "--model", "model", "--device", "cpu", "--torch_dtype", "float32"]
    return [*base, "--max_batch_size", str(BATCH), "--output_dir", out, *kind.words]


def killed(words: list[str], file: Path, at: int, moment: float) -> None:
    """Run a command, and kill it a moment after so many answers are there."""
    process = subprocess.Popen([sys.executable, "-m", "swift", *words], stderr=subprocess.DEVNULL)
    try:
        begun = time.monotonic()
        while not file.is_file() or file.read_bytes().count(b"\n") < at:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() - begun < SECONDS
            time.sleep(0.005)
        time.sleep(moment)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("name", list(KINDS))
def test_it_goes_on(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    if name == "lm_eval" and find_spec("lm_eval") is None:
        pytest.skip("needs lm-eval")
    monkeypatch.chdir(folder)
    whole, cut = Path(f"{name}-whole"), Path(f"{name}-cut")
    assert main(command(kind, str(whole))) == 0, capfd.readouterr().err
    file = next(iter(whole.rglob(kind.answers)))
    target = cut / file.relative_to(whole)
    rng, kept = random.Random(name), b""
    for number in range(1, KILLS + 1):
        killed(command(kind, str(cut)), target, number * ROWS // 5, rng.uniform(0, 0.2))
        found = target.read_bytes()
        assert found.startswith(kept)
        kept = found[: found.rfind(b"\n") + 1]
    known = kept.count(b"\n")
    assert KILLS * ROWS // 5 <= known < ROWS
    capfd.readouterr()
    assert main(command(kind, str(cut))) == 0
    said = capfd.readouterr().err
    end = target.read_bytes()
    assert end.startswith(kept)
    keys = [json.loads(line)["key"] for line in end.splitlines()]
    assert len(keys) == len(set(keys)) == file.read_bytes().count(b"\n")
    assert (cut / kind.samples).read_bytes() == (whole / kind.samples).read_bytes()
    if name == "lm_eval":
        assert json.loads((cut / "killed" / "summary.json").read_text())["facts"]["requests"] == ROWS - known
    else:
        assert re.search(rf"\b{known} of {ROWS} answers are there already", said), said
