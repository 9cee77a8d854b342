"""Signals, errors and resuming of runs in two processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from swift.api import sft
from swift.config.sft import SftConfig
from swift.errors import CheckpointError
from swift.models.tiny import save_tiny
from tests.conftest import Swift
from tests.train.parallel.processes import curve, errors, finished, run_processes, weights
from tests.train.runs import configure, write_rows

pytestmark = pytest.mark.slow

STRIKE = """
import os, signal, time
from swift.train.events import StepDone
from swift.train.listeners import listeners

@listeners.register("strike")
def strike(event):
    # The first process' listener; its parent is the command that the user has started and may kill.
    if isinstance(event, StepDone) and event.state.step == 3:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(2.0)
"""

IN_THE_SECOND = """
import os, signal
from swift.losses.token import cross_entropy, token_losses

calls = 0

@token_losses.register("mine")
def mine(logits, targets, weights):
    global calls
    calls += 1
    if os.environ["RANK"] == "1" and calls == 5:
        {deed}
    return cross_entropy(logits, targets, weights)
"""


def _config(tiny: Path, rows: Path, output: Path, **sections: Any) -> SftConfig:
    """Twelve steps over three epochs, with random numbers in every one."""
    merged: dict[str, Any] = {
        "batch": {"size": 2, "accumulation": 2},
        "tuner": {"type": "lora", "rank": 4, "dropout": 0.2},
        "optimizer": {"learning_rate": 1e-3},
        "loop": {"max_steps": 12, "neftune_alpha": 5.0},
        "checkpoint": {"every": 100},
    }
    for name, section in sections.items():
        merged[name] = {**merged.get(name, {}), **section}
    return configure(tiny, rows, output, **merged)


def _plugin(folder: Path, source: str) -> list[str]:
    path = folder / "plugin.py"
    path.write_text(source)
    return [str(path)]


def _assert_same(folder: Path, reference: Path) -> None:
    assert curve(folder) == curve(reference)
    found, expected = weights(folder), weights(reference)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_killed_run_saves_and_goes_on_bit_for_bit(tiny: Path, rows: Path, tmp_path: Path, swift: Swift) -> None:
    whole = _config(tiny, rows, tmp_path / "whole")
    finished(run_processes(swift, whole), whole)
    struck = _config(tiny, rows, tmp_path / "struck", loop={"plugins": _plugin(tmp_path, STRIKE)})
    done = run_processes(swift, struck)
    assert done.code == 143, done.err
    assert done.err.splitlines()[-1] == "interrupted; go on with --resume_from_checkpoint last"
    assert errors(done.err) == []
    folder = Path(struck.output_dir)
    assert (folder / "last").resolve().name in ("checkpoint-3", "checkpoint-4")
    again = _config(tiny, rows, folder, checkpoint={"resume": "last", "allow_change": True})
    _assert_same(finished(run_processes(swift, again), again), Path(whole.output_dir))


def test_another_number_of_processes(tiny: Path, rows: Path, tmp_path: Path, swift: Swift) -> None:
    """Refused; where it is allowed, steps take the same rows as before, whoever takes them."""
    plain: dict[str, Any] = {"tuner": {"dropout": 0.0}, "loop": {"neftune_alpha": None, "max_steps": 12}}
    config = _config(tiny, rows, tmp_path / "run", checkpoint={"every": 7, "limit": 5}, **plain)
    folder = finished(run_processes(swift, config), config)
    expected = curve(folder)
    shutil.rmtree(folder / "checkpoint-12")
    alone: dict[str, Any] = {**plain, "checkpoint": {"resume": str(folder / "checkpoint-7")}}
    with pytest.raises(CheckpointError, match=r"checkpoint-7 was saved by 2 process\(es\), and there are 1") as refused:
        sft(_config(tiny, rows, folder, **alone))
    assert refused.value.hint.startswith("resume with NPROC_PER_NODE=2, or pass --resume_allow_change true")
    assert refused.value.hint.endswith("--gradient_accumulation_steps 4, which keeps the steps as they are")
    alone["checkpoint"]["allow_change"] = True
    with pytest.raises(CheckpointError, match="a step had 4 micro-batches and would have 2"):
        sft(_config(tiny, rows, folder, **alone))
    sft(_config(tiny, rows, folder, **alone, batch={"accumulation": 4}))
    assert curve(folder) == pytest.approx(expected, abs=5e-6)
    assert len(curve(folder)) == 12


def test_a_mistake_in_the_command_line_is_told_once(tiny: Path, rows: Path, tmp_path: Path, swift: Swift) -> None:
    words = ("sft", "--model", str(tiny), "--dataset", str(rows), "--output_dir", str(tmp_path / "run"))
    done = swift(*words, "--learning_rat", "1", env={"NPROC_PER_NODE": "2"})
    assert (done.code, len(errors(done.err))) == (2, 1)
    assert "learning_rat" in errors(done.err)[0]
    done = swift(*words, env={"NPROC_PER_NODE": "two"})
    assert (done.code, errors(done.err)) == (2, ["error: NPROC_PER_NODE=two is not a number from 1 on"])


def test_a_bad_row_is_told_once(tiny: Path, tmp_path: Path, swift: Swift) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 20)
    rows.write_text(rows.read_text() + '{"messages": [{"role": "user"}]}\n')
    config = _config(tiny, rows, tmp_path / "run")
    done = run_processes(swift, config)
    assert (done.code, len(errors(done.err))) == (2, 1), done.err
    assert "row 21" in errors(done.err)[0]
    assert "Traceback" not in done.err


def test_an_error_of_another_process_ends_the_run_and_is_seen(
    tiny: Path, rows: Path, tmp_path: Path, swift: Swift
) -> None:
    for deed, code, told in (
        ("raise ZeroDivisionError('of the second process')", 1, "ZeroDivisionError: of the second process"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 2, "error: process 1 was killed"),
    ):
        plugins = _plugin(tmp_path, IN_THE_SECOND.format(deed=deed))
        config = _config(tiny, rows, tmp_path / f"run-{code}", loop={"loss": "mine", "plugins": plugins})
        done = run_processes(swift, config)
        assert done.code == code, done.err
        assert done.err.count(told) == 1
        assert done.err.count("Traceback") == (1 if code == 1 else 0)


def test_a_signal_to_another_process_stops_all(tiny: Path, rows: Path, tmp_path: Path, swift: Swift) -> None:
    plugins = _plugin(tmp_path, IN_THE_SECOND.format(deed="os.kill(os.getpid(), signal.SIGINT)"))
    config = _config(tiny, rows, tmp_path / "run", loop={"loss": "mine", "plugins": plugins})
    done = run_processes(swift, config)
    assert done.code == 130, done.err
    steps = len(curve(Path(config.output_dir)))
    assert 0 < steps < 12
    assert (Path(config.output_dir) / "last").resolve().name == f"checkpoint-{steps}"


def test_a_loss_that_is_not_finite_in_one_process(tmp_path: Path, swift: Swift) -> None:
    model = save_tiny(tmp_path / "model")
    values = load_file(model / "model.safetensors")
    poison = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]["z"]
    values["model.embed_tokens.weight"][poison] = float("nan")
    save_file(values, model / "model.safetensors", metadata={"format": "pt"})
    rows = write_rows(tmp_path / "rows.jsonl", 24)
    lines = rows.read_text().splitlines()
    lines[16] = json.dumps({"messages": [{"role": "user", "content": "z"}, {"role": "assistant", "content": "a"}]})
    rows.write_text("\n".join(lines) + "\n")
    config = _config(model, rows, tmp_path / "run", data={"shuffle": False})
    done = run_processes(swift, config)
    assert (done.code, len(errors(done.err))) == (2, 1), done.err
    assert f"step 3: the loss of row 17 of {rows} is not finite" in errors(done.err)[0]
    folder = Path(config.output_dir)
    report = json.loads((folder / "nonfinite-step-3" / "rows.json").read_text())
    assert len(report["rows"]) == 8
    assert len(list((folder / "nonfinite-step-3").glob("*.safetensors"))) == 4
    assert (folder / "last").resolve().name == "checkpoint-2"
