"""What each system is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.recipe import TUNERS, Example, Job, Mode, Tuner, made_up_examples, read_examples
from benchmarks.systems import SYSTEMS
from benchmarks.systems.base import is_trainer_log, printed_losses, words
from benchmarks.tokens import count, load_tokenizer, render
from swift.config.parse import parse
from swift.config.sft import SftConfig
from swift.config.tuner import LoraConfig
from swift.models.tiny import save_tiny

EXAMPLES = (Example("Name a fruit.", "An apple."), Example("Häuser?\nzwei", "\nZwei 🏠\n"), Example("a", "b" * 900))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"))


def job(model: Path, folder: Path, mode: Mode = "matched", tuner: Tuner = "lora") -> Job:
    return Job(model, EXAMPLES, folder, mode, tuner, max_steps=1)


@pytest.mark.parametrize("mode", ["defaults", "matched"])
def test_our_flags_are_known_and_mean_the_recipe(model: Path, tmp_path: Path, mode: Mode) -> None:
    launch = SYSTEMS["ours"].prepare(job(model, tmp_path, mode), Path("/env/bin/python"))
    assert launch.argv[:4] == ("/env/bin/python", "-m", "swift", "sft")
    config = parse(SftConfig, launch.argv[4:]).config
    assert (config.batch.size, config.batch.accumulation, config.chat.max_length) == (4, 1, 512)
    assert (config.tuner.rank, config.tuner.alpha, config.optimizer.beta2) == (8, 16, 0.999)
    assert config.data.shuffle is (mode == "defaults")
    assert config.loop.allocator == ("auto" if mode == "defaults" else "system")
    assert config.loop.gradient_checkpointing is (None if mode == "defaults" else False)


@pytest.mark.parametrize("tuner", TUNERS)
def test_our_flags_say_what_is_trained(model: Path, tmp_path: Path, tuner: Tuner) -> None:
    launch = SYSTEMS["ours"].prepare(job(model, tmp_path, tuner=tuner), Path("/env/bin/python"))
    config = parse(SftConfig, launch.argv[4:]).config
    assert config.tuner.type == ("lora" if tuner in ("lora", "dora") else "full")
    if isinstance(config.tuner, LoraConfig):
        assert config.tuner.dora is (tuner == "dora")
    else:
        assert config.optimizer.master_weights is False
    assert config.optimizer.name == ("galore" if tuner == "galore" else "adamw")
    if tuner == "galore":
        assert config.optimizer.options == {"rank": 32, "update_proj_gap": 50, "scale": 1.0}


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_can_be_started_for_each_of_its_tuners(model: Path, tmp_path: Path, name: str) -> None:
    commands = set()
    for tuner in SYSTEMS[name].tuners:
        folder = tmp_path / tuner
        folder.mkdir()
        launch = SYSTEMS[name].prepare(job(model, folder, tuner=tuner), Path("/env/bin/python"))
        text = " ".join(launch.argv) + "".join(file.read_text() for file in folder.glob("*.yaml"))
        commands.add(text.replace(str(folder), ""))
    assert len(commands) == len(SYSTEMS[name].tuners)


def test_all_systems_get_the_same_text(model: Path, tmp_path: Path) -> None:
    rendered = render(EXAMPLES, load_tokenizer(model))
    wanted = [(row.prompt, row.completion) for row in rendered]
    given: dict[str, list[tuple[str, str]]] = {}
    for name in ("ms-swift", "llamafactory", "trl"):
        folder = tmp_path / name
        folder.mkdir()
        SYSTEMS[name].prepare(job(model, folder), Path("/env/bin/python"))
    swift_rows = [json.loads(line) for line in (tmp_path / "ms-swift/rows.jsonl").read_text().splitlines()]
    given["ms-swift"] = [(row["query"], row["response"] + "<|im_end|>") for row in swift_rows]
    factory_rows = json.loads((tmp_path / "llamafactory/data/rows.json").read_text())
    given["llamafactory"] = [(row["instruction"], row["output"]) for row in factory_rows]
    trl_rows = [json.loads(line) for line in (tmp_path / "trl/data/train.jsonl").read_text().splitlines()]
    given["trl"] = [(row["prompt"], row["completion"]) for row in trl_rows]
    assert given == {"ms-swift": wanted, "llamafactory": wanted, "trl": wanted}


def test_rendering_ends_with_the_stop_token_and_is_cut(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    rows = render(EXAMPLES, tokenizer)
    assert all(row.completion.endswith("<|im_end|>") and row.prompt.endswith("assistant\n") for row in rows)
    assert rows[1].completion == "\nZwei 🏠\n<|im_end|>"
    whole, cut = count(rows, tokenizer, 10_000), count(rows, tokenizer, 60)
    assert cut == [min(length, 60) for length in whole]
    assert whole[2] > 60


def test_yaml_of_matched_mode_turns_recomputation_and_shuffling_off(model: Path, tmp_path: Path) -> None:
    SYSTEMS["llamafactory"].prepare(job(model, tmp_path), Path("/env/bin/python"))
    settings = yaml.safe_load((tmp_path / "train.yaml").read_text())
    assert settings["disable_gradient_checkpointing"] is True
    assert settings["disable_shuffling"] is True
    assert settings["max_steps"] == 1


def test_lines_of_a_trainer(tmp_path: Path) -> None:
    step = "{'loss': '1.734', 'grad_norm': '0.29', 'epoch': '0.01'}"
    end = "{'train_runtime': '132.3', 'train_loss': '1.586', 'epoch': '0.03'}"
    assert is_trainer_log(step)
    assert not is_trainer_log(end)
    (tmp_path / "stdout").write_text(f"loading\n{step}\n{end}\n")
    assert printed_losses(tmp_path / "stdout") == [1.734]


def test_steps_of_ours_are_told_from_evaluations() -> None:
    ours = SYSTEMS["ours"]
    assert ours.is_step('{"step": 1, "loss": 1.5}')
    assert not ours.is_step('{"step": 1, "eval_loss": 1.5}')


def test_words() -> None:
    assert words({"a": True, "b": 0.5, "c": "x"}) == ["--a", "true", "--b", "0.5", "--c", "x"]


def test_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(
        json.dumps([{"instruction": "Do", "input": "this", "output": "o"}, {"instruction": "I", "output": ""}])
    )
    assert read_examples(file) == (Example("Do\nthis", "o"), Example("I", ""))
    assert read_examples(file, 1) == (Example("Do\nthis", "o"),)
    with pytest.raises(ValueError, match="2 rows, fewer than 3"):
        read_examples(file, 3)


def test_made_up_rows_are_repeatable_and_of_different_lengths() -> None:
    rows = made_up_examples(64)
    assert rows == made_up_examples(64)
    lengths = sorted(len(row.answer.split()) for row in rows)
    assert lengths[0] >= 1
    assert lengths[-1] > 4 * lengths[32] > 16 * lengths[0]
