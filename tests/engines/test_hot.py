"""Adapters that come and go while the engine runs."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.base import Event, Piece
from swift.engines.driver import Driver
from swift.engines.folders import plan_model
from swift.engines.hot import WEIGHTS, check_lora
from swift.engines.lanes import Limits
from swift.engines.load import load_engine, load_live
from swift.engines.transformers import TransformersEngine
from swift.errors import CheckpointError, ConfigError, RowError, SwiftError
from swift.models.tiny import save_tiny
from swift.types import Completion
from tests.engines.support import answers, go_on, save_adapter, texts

PROMPTS = texts(40, 52, 44)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hot")
    model = save_tiny(folder / "model")
    other = {"target_modules": ["o_proj", "gate_proj"], "r": 8, "use_rslora": True}
    return {
        "model": model,
        "first": save_adapter(folder / "first", model, seed=1),
        "second": save_adapter(folder / "second", model, seed=2, **other),
        "whole": save_adapter(folder / "whole", model, seed=3, modules_to_save=["lm_head"]),
        "dora": save_adapter(folder / "dora", model, seed=4, use_dora=True),
    }


def load(folders: dict[str, Path], *names: str, dtype: str = "float32", hot: bool = True) -> TransformersEngine:
    plan = plan_model(
        ModelConfig(id=str(folders["model"]), dtype=dtype),  # type: ignore[arg-type]
        [f"{name}={folders[name]}" for name in names],
        ChatConfig(),
    )
    return load_engine(plan, limits=Limits(4000, 4, live=True), hot=hot)


def said(engine: TransformersEngine, adapter: str, new: int = 16) -> list[Completion]:
    found = answers(engine.generate([go_on(text, adapter=adapter, max_new_tokens=new) for text in PROMPTS]))
    return [Completion(a.text, a.token_ids, a.prompt_tokens, a.finish) for a in found]  # how much was cached may differ


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_loaded_answers_as_if_it_had_been_there(folders: dict[str, Path], dtype: str) -> None:
    engine = load(folders, dtype=dtype)
    expected = {name: said(load(folders, name, dtype=dtype, hot=False), name) for name in ("first", "second", "dora")}
    bare = said(load(folders, dtype=dtype, hot=False), "base")
    assert said(engine, "base") == bare
    for name in ("first", "second", "dora"):
        engine.load_adapter(name, folders[name])
        assert said(engine, name) == expected[name]
        assert said(engine, "base") == bare
    assert engine.adapters == ("first", "second", "dora")
    assert [said(engine, name) for name in expected] == list(expected.values())
    engine.unload_adapter("first")
    assert engine.adapters == ("second", "dora")
    assert said(engine, "second") == expected["second"]
    for name in ("second", "dora"):
        engine.unload_adapter(name)
    assert said(engine, "base") == bare
    engine.load_adapter("again", folders["first"])
    assert said(engine, "again") == expected["first"]
    assert said(engine, "base") == bare


def test_a_head_of_its_own_leaves_the_others_theirs(folders: dict[str, Path]) -> None:
    engine = load(folders, "first")
    before, bare = said(engine, "first"), said(engine, "base")
    path = folders["whole"] / WEIGHTS
    weights = load_file(path)
    head = next(name for name in weights if "lm_head" in name)
    weights[head] = torch.randn(weights[head].shape, generator=torch.Generator().manual_seed(0))
    save_file(weights, path, metadata={"format": "pt"})
    engine.load_adapter("whole", folders["whole"])
    expected = said(load(folders, "whole", hot=False), "whole")
    assert said(engine, "whole") == expected
    assert (said(engine, "first"), said(engine, "base")) == (before, bare)
    engine.unload_adapter("whole")
    assert (said(engine, "first"), said(engine, "base")) == (before, bare)


def test_a_name_that_is_loaded_anew_has_nothing_of_the_old_one(folders: dict[str, Path]) -> None:
    engine = load(folders)
    for name in ("first", "second", "first"):
        engine.load_adapter("tone", folders[name])
        first = answers(engine.generate([go_on(PROMPTS[0], adapter="tone", max_new_tokens=12)]))[0]
        assert first.cached_tokens == 0
        again = answers(engine.generate([go_on(PROMPTS[0], adapter="tone", max_new_tokens=12)]))[0]
        assert again.cached_tokens > 0
        assert first.text == again.text == said(load(folders, name, hot=False), name, 12)[0].text
        engine.unload_adapter("tone")


def test_running_answers_are_finished_under_what_they_began_with(folders: dict[str, Path]) -> None:
    engine = load(folders)
    engine.load_adapter("tone", folders["first"])
    heard: list[list[Event]] = [[], [], []]
    for number, text in enumerate(PROMPTS):
        engine.submit(go_on(text, adapter="tone", max_new_tokens=16), heard[number].append)
    for _ in range(3):
        engine.step()
    engine.unload_adapter("tone")
    late: list[Event] = []
    engine.submit(go_on("x", adapter="tone"), late.append)
    assert isinstance(late[0], RowError)
    assert late[0].reason == "unknown_adapter"
    engine.load_adapter("tone", folders["second"])
    new: list[Event] = []
    engine.submit(go_on(PROMPTS[0], adapter="tone", max_new_tokens=16), new.append)
    while engine.step():
        pass
    old = said(load(folders, "first", hot=False), "first")
    assert [events[-1].text for events in heard] == [answer.text for answer in old]  # type: ignore[union-attr]
    assert new[-1].text == said(load(folders, "second", hot=False), "second")[0].text  # type: ignore[union-attr]
    assert engine._switch.leaving == []  # type: ignore[union-attr]
    assert not any("loaded-1" in name for name, _ in engine._model.named_parameters())


def test_a_request_between_two_adapters_is_refused(folders: dict[str, Path]) -> None:
    engine = load(folders)
    engine.load_adapter("tone", folders["first"])
    heard: list[Event] = []
    arrived, engine._arrived = engine._arrived, type(engine._arrived)()
    engine.submit(go_on("x", adapter="tone"), heard.append)  # rendered, and not taken in before the adapter has gone
    late, engine._arrived = engine._arrived, arrived
    engine.unload_adapter("tone")
    engine.settle()
    engine._arrived.extend(late)
    engine.settle()
    assert isinstance(heard[0], RowError)
    assert not engine.step()


def broken(folders: dict[str, Path], folder: Path, how: str) -> Path:
    """An adapter with something wrong."""
    rank = {"r": 6} if how == "layers" else {}
    save_adapter(folder, folders["model"], seed=9, **rank)
    weights: dict[str, Any] = load_file(folder / WEIGHTS)
    config = json.loads((folder / "adapter_config.json").read_text())
    first = sorted(weights)[0]
    if how == "shape":
        weights[first] = torch.ones(3, 5)
    elif how == "missing":
        del weights[first]
    elif how == "unknown":
        weights[first.replace("layers.0", "layers.77")] = weights.pop(first)
    elif how == "not finite":
        weights[first][0, 0] = float("nan")
    elif how == "layers":
        config["target_modules"] = ["nowhere"]
    elif how == "bias":
        config["bias"] = "all"
    elif how == "start":
        config["init_lora_weights"] = "pissa"
    elif how == "kind":
        config["peft_type"] = "IA3"
    save_file(weights, folder / WEIGHTS)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    if how == "garbage":
        (folder / WEIGHTS).write_bytes(b"no weights")
    elif how == "no weights":
        (folder / WEIGHTS).unlink()
    elif how == "config":
        (folder / "adapter_config.json").write_text("{")
    return folder


WAYS = ["shape", "missing", "unknown", "not finite", "layers", "bias", "start", "kind", "garbage", "no weights"]


@pytest.mark.parametrize("how", [*WAYS, "config"])
@pytest.mark.parametrize("start", [(), ("first",)])
def test_a_broken_adapter_changes_nothing(
    folders: dict[str, Path], tmp_path: Path, how: str, start: tuple[str, ...]
) -> None:
    engine = load(folders, *start)
    before = [said(engine, name) for name in ("base", *start)]
    folder = broken(folders, tmp_path / "adapter", how)

    def load_it() -> None:
        check_lora(folder)
        engine.load_adapter("bad", folder)

    with pytest.raises((CheckpointError, ConfigError)) as refused:
        load_it()
    assert str(tmp_path) not in refused.value.message
    assert engine.adapters == start
    assert [said(engine, name) for name in ("base", *start)] == before
    assert not any("loaded-" in name for name, _ in engine._model.named_parameters())
    engine.load_adapter("bad", folders["second"])
    assert said(engine, "bad") == said(load(folders, "second", hot=False), "second")
    assert [said(engine, name) for name in ("base", *start)] == before


def test_names(folders: dict[str, Path]) -> None:
    engine = load(folders, "first")
    for name in ("base", "first"):
        with pytest.raises(ConfigError, match="called"):
            engine.load_adapter(name, folders["second"])
    with pytest.raises(ConfigError, match="no adapter"):
        engine.unload_adapter("nobody")
    with pytest.raises(ConfigError, match="run time"):
        load(folders, hot=False).load_adapter("x", folders["first"])
    engine.load_adapter("v1.2", folders["second"])
    assert said(engine, "v1.2") == said(load(folders, "second", hot=False), "second")


def test_they_come_and_go_while_others_are_answered(folders: dict[str, Path]) -> None:
    expected = said(load(folders, hot=False), "base", 40)
    plan = plan_model(ModelConfig(id=str(folders["model"]), dtype="float32"), [], ChatConfig())
    driver: Driver = load_live(plan, limits=Limits(4000, 4), hot=True)
    try:
        stop = threading.Event()
        wrong: list[Any] = []

        def ask_on() -> None:
            while not stop.is_set():
                events: list[Event] = []
                done = threading.Event()

                def hear(event: Event, events: list[Event] = events, done: threading.Event = done) -> None:
                    events.append(event)
                    if not isinstance(event, Piece):
                        done.set()

                driver.submit(go_on(PROMPTS[0], adapter="base", max_new_tokens=40), hear)
                assert done.wait(60)
                if events[-1].text != expected[0].text:  # type: ignore[union-attr]
                    wrong.append(events[-1])

        thread = threading.Thread(target=ask_on)
        thread.start()
        for number in range(12):
            driver.load_adapter("tone", folders["first" if number % 2 else "second"])
            driver.unload_adapter("tone")
        stop.set()
        thread.join(60)
        assert not wrong
    finally:
        driver.close()
    with pytest.raises(SwiftError, match="shut down"):
        driver.load_adapter("tone", folders["first"])
