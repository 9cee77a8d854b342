"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swift.data.feed import Position
from swift.models.tiny import save_tiny
from swift.train.events import Evaluated, Event, Listener, Metrics, RunDone, RunInfo, RunStarted, Saved, StepDone
from swift.train.state import State
from tests.train.runs import write_rows


def make_state(step: int, **changes: object) -> State:
    """A run of 10 steps an epoch after `step` steps of 100 tokens, 60 of them targets, 2 seconds each."""
    position = Position(epoch=step // 10, step=step % 10)
    values = {"tokens": 100 * step, "targets": 60 * step, "samples": 4 * step, "elapsed": 2.0 * step, **changes}
    return State(step=step, position=position, **values)  # type: ignore[arg-type]


def make_metrics(step: int, **changes: object) -> Metrics:
    """Metrics of step `step`; the loss is 1 / step."""
    values = {
        "loss": 1.0 / step,
        "grad_norm": 0.5,
        "learning_rate": 1e-4 * step,
        "targets": 60,
        "tokens": 100,
        "slots": 125,
        "data_wait": 0.5,
        "seconds": 2.0,
        "memory_gib": float(step),
        **changes,
    }
    return Metrics(**values)  # type: ignore[arg-type]


def play(listener: Listener, info: RunInfo, steps: range, *, evaluate: int = 0, done: bool = True) -> None:
    """Call a listener as a run would."""
    events: list[Event] = [RunStarted(info)]
    for step in steps:
        events.append(StepDone(make_state(step), make_metrics(step)))
        if evaluate and step % evaluate == 0:
            events.append(Evaluated(make_state(step), {"eval_loss": 2.0 / step, "eval_token_accuracy": 0.5}))
            events.append(Saved(make_state(step), info.run_dir / f"checkpoint-{step}"))
    if done:
        events.append(RunDone(make_state(steps[-1])))
    for event in events:
        listener(event)


@pytest.fixture
def run_info(tmp_path: Path) -> RunInfo:
    return RunInfo(
        lines=(("model", "tiny"), ("trained", "0.1 M of 1 M parameters")),
        total_steps=30,
        run_dir=tmp_path,
        steps_per_epoch=10,
    )


@pytest.fixture
def player() -> Callable[..., None]:
    return play


@pytest.fixture
def states() -> Callable[..., State]:
    return make_state


@pytest.fixture
def metrics_of() -> Callable[..., Metrics]:
    return make_metrics


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama, saved."""
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """37 conversations, so that the last step of an epoch is a partial one."""
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", 37)
