"""Signals, losses that are not finite, early stopping, and what a run folder holds."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from swift.api import sft
from swift.errors import ConfigError, DataError, SwiftError, TrainingError
from swift.models.tiny import save_tiny
from swift.train.events import Event, StepDone
from swift.train.listeners import listeners
from swift.train.listeners.jsonl import read_lines
from swift.train.stop import Interrupted
from tests.train.runs import configure, write_rows


@pytest.fixture
def at_step(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sends this process a signal after the step that the test is parametrized with."""
    signum, step = request.param

    def strike(event: Event) -> None:
        if isinstance(event, StepDone) and event.state.step == step:
            os.kill(os.getpid(), signum)

    name = f"strike-{signum}-{step}"
    if name not in listeners:
        listeners.register(name)(strike)
    before = dict(listeners._entries)
    yield
    listeners._entries.clear()
    listeners._entries.update({key: value for key, value in before.items() if key != name})


@pytest.mark.parametrize("at_step", [(signal.SIGINT, 3), (signal.SIGTERM, 3)], indirect=True)
def test_a_signal_saves_and_leaves(at_step: None, tiny: Path, rows: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        sft(configure(tiny, rows, tmp_path / "run"))
    assert caught.value.signum in (signal.SIGINT, signal.SIGTERM)
    assert (tmp_path / "run" / "last").resolve().name == "checkpoint-3"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_loss_that_is_not_finite_names_the_row(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    poison = tokenizer["model"]["vocab"]["z"]
    weights["model.embed_tokens.weight"][poison] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    rows = write_rows(tmp_path / "rows.jsonl", 24)
    lines = rows.read_text().splitlines()
    lines[16] = json.dumps({"messages": [{"role": "user", "content": "z"}, {"role": "assistant", "content": "a"}]})
    rows.write_text("\n".join(lines) + "\n")
    config = configure(model, rows, tmp_path / "run", data={"shuffle": False})
    with pytest.raises(TrainingError, match=r"step 3: the loss of row 17 of .*rows\.jsonl is not finite"):
        sft(config)
    report = json.loads((tmp_path / "run" / "nonfinite-step-3" / "rows.json").read_text())
    assert len(report["rows"]) == 8
    assert report["not_finite_alone"] == [f"row 17 of {rows}"]
    # The checkpoint stands before the step, so that resuming replays it.
    saved = load_file(tmp_path / "run" / "last" / "adapter_model.safetensors")
    assert (tmp_path / "run" / "last").resolve().name == "checkpoint-2"
    assert all(torch.isfinite(value).all() for value in saved.values())
    with pytest.raises(TrainingError, match=r"step 3: the loss of row 17"):
        sft(configure(model, rows, tmp_path / "run", data={"shuffle": False}, checkpoint={"resume": "last"}))


def test_early_stopping_and_the_best_checkpoint(tiny: Path, rows: Path, tmp_path: Path) -> None:
    folder = sft(
        configure(
            tiny,
            rows,
            tmp_path / "run",
            data={"split_ratio": 0.2},
            optimizer={"learning_rate": 1.0},
            schedule={"name": "constant"},
            loop={"max_steps": 40},
            evaluation={"every": 1, "patience": 3},
        )
    )
    lines = [line for line in read_lines(folder / "metrics.jsonl") if "eval_loss" in line]
    steps = [line["step"] for line in lines]
    assert steps[0] == 0
    assert steps[-1] < 40
    best = min(lines[1:], key=lambda line: line["eval_loss"])
    assert steps[-1] == best["step"] + 3
    assert (folder / "best").resolve().name == f"checkpoint-{best['step']}"


def test_the_record_says_what_the_run_came_to(tiny: Path, rows: Path, tmp_path: Path) -> None:
    folder = sft(configure(tiny, rows, tmp_path / "run", data={"split_ratio": 0.2}))
    totals = json.loads((folder / "run.json").read_text())["totals"]
    last = [line for line in read_lines(folder / "metrics.jsonl") if "loss" in line][-1]
    assert (totals["ended"], totals["steps"], totals["samples"]) == ("finished", 6, 46)
    assert totals["seconds"] == pytest.approx(last["elapsed_seconds"], abs=0.01)
    assert totals["best_step"] == int((folder / "best").resolve().name.removeprefix("checkpoint-"))


def test_metrics_have_the_documented_keys(tiny: Path, rows: Path, tmp_path: Path) -> None:
    folder = sft(configure(tiny, rows, tmp_path / "run"))
    line = next(read_lines(folder / "metrics.jsonl"))
    expected = (
        "step epoch loss grad_norm learning_rate target_tokens tokens tokens_per_second target_tokens_per_second "
        "padding_fraction data_wait_fraction step_seconds memory_gib elapsed_seconds"
    )
    assert set(expected.split()) <= set(line)
    record = json.loads((folder / "run.json").read_text())
    assert record["ledger"]["kept"] == 37
    assert record["config"]["batch"]["size"] == 4


def test_what_was_saved_loads_in_plain_peft_and_gives_the_same_logits(tiny: Path, rows: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = sft(configure(tiny, rows, tmp_path / "run", data={"split_ratio": 0.2}))
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, folder / "last")
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        adapted = tuned(ids).logits
        with tuned.disable_adapter():
            bare = tuned(ids).logits
    assert (adapted - bare).abs().max() > 1e-3
    assert AutoTokenizer.from_pretrained(folder / "last").chat_template


def test_a_custom_loss_and_schedule_from_a_plugin(tiny: Path, rows: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import torch\n"
        "from swift.losses.token import token_losses\n"
        "from swift.train.schedule import schedules\n"
        "@token_losses.register('squared')\n"
        "def squared(logits, targets, weights):\n"
        "    p = torch.softmax(logits, -1).gather(1, targets[:, None])[:, 0]\n"
        "    return ((1 - p) ** 2 * weights).sum()\n"
        "@schedules.register('halves')\n"
        "def halves(progress, config):\n"
        "    return 0.5 ** progress.step\n"
    )
    folder = sft(
        configure(
            tiny,
            rows,
            tmp_path / "run",
            loop={"max_steps": 4, "loss": "squared", "plugins": [str(plugin)]},
            schedule={"name": "halves"},
        )
    )
    lines = [line for line in read_lines(folder / "metrics.jsonl") if "loss" in line]
    assert all(0 < line["loss"] < 1 for line in lines)
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-2 * 0.5**k for k in range(4)])


@pytest.mark.parametrize(
    ("sections", "error", "match"),
    [
        ({"data": {"train": ["/nowhere/rows.jsonl"]}}, DataError, "/nowhere/rows.jsonl"),
        ({"tuner": {"type": "lora", "targets": ["q_prj"]}}, ConfigError, "q_prj"),
        ({"tuner": {"type": "lora", "target_regex": "("}}, ConfigError, "regular expression"),
        ({"tuner": {"type": "freeze", "ratio": 0.0}}, ConfigError, "frozen|freeze"),
        ({"chat": {"max_length": 3}}, DataError, "no row is left"),
        ({"schedule": {"name": "cosin"}}, ConfigError, "cosin"),
        ({"loop": {"loss": "crossentropy"}}, ConfigError, "crossentropy"),
        ({"model": {"device": "cuda:7"}}, SwiftError, "cuda"),
    ],
)
def test_mistakes_are_told(
    sections: dict[str, Any], error: type[Exception], match: str, tiny: Path, rows: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=match):
        sft(configure(tiny, rows, tmp_path / "run", **sections))


def test_the_dry_step_changes_nothing(tiny: Path, rows: Path, tmp_path: Path) -> None:
    """Also not the random numbers that dropout and noise draw."""
    found = []
    for trial in (False, True):
        options = {"max_steps": 3, "neftune_alpha": 5.0, "dry_step": trial}
        tuner = {"type": "lora", "rank": 4, "dropout": 0.3}
        folder = sft(configure(tiny, rows, tmp_path / str(trial), loop=options, tuner=tuner))
        found.append(load_file(folder / "last" / "adapter_model.safetensors"))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_little_memory_turns_checkpointing_on(
    tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import swift.train.fit

    monkeypatch.setattr(swift.train.fit, "available_memory", lambda device: 1)
    sft(configure(tiny, rows, tmp_path / "run", loop={"max_steps": 1}))
    told = " ".join(capfd.readouterr().err.split())
    assert "activations are computed again in the backward pass" in told
    assert "it may not fit: `swift plan` shows ways out" in told
