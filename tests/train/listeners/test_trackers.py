"""TensorBoard, and listeners that plugins register."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import pytest

from swift.errors import MissingExtraError, UnknownNameError
from swift.train.events import Event, RunInfo
from swift.train.listeners import listeners, make_trackers, plugin_listeners, trackers


def scalars(info: RunInfo) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(info.run_dir / "tensorboard"))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_holds_every_step_once(run_info: RunInfo, player: Callable[..., None]) -> None:
    pytest.importorskip("tensorboard")
    (tracker,) = make_trackers(["tensorboard"])
    player(tracker, run_info, range(1, 7), evaluate=4)
    (tracker,) = make_trackers(["none", "tensorboard"])
    player(tracker, replace(run_info, first_step=4), range(5, 9), evaluate=4)
    found = scalars(run_info)
    assert [step for step, _ in found["train/loss"]] == list(range(1, 9))
    assert found["train/loss"][3][1] == pytest.approx(0.25)
    assert [step for step, _ in found["eval/loss"]] == [4, 8]


def test_missing_tensorboard_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="'tensorboard', which is not installed") as caught:
        make_trackers(["tensorboard"])
    assert caught.value.hint == "pip install 'swift-finetune[track]'"


def test_unknown_tracker() -> None:
    with pytest.raises(UnknownNameError) as caught:
        make_trackers(["tensorbord"])
    assert caught.value.hint == "did you mean tensorboard?"


def test_plugins_register_one_function(run_info: RunInfo, player: Callable[..., None]) -> None:
    seen: list[str] = []

    @listeners.register("test-seen")
    def listen(event: Event) -> None:
        seen.append(type(event).__name__)

    trackers.register("test-tracker")(lambda: listen)
    assert listen in plugin_listeners()
    assert make_trackers(["test-tracker"]) == [listen]
    player(listen, run_info, range(1, 2), evaluate=1)
    assert seen == ["RunStarted", "StepDone", "Evaluated", "Saved", "RunDone"]
