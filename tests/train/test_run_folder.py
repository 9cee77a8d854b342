"""Who may use a run folder, what run.json holds, and what a resumed run may change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swift.config.sft import SftConfig
from swift.errors import CheckpointError, ConfigError, ResourceError
from swift.train.environment import git_revision, library_versions
from swift.train.run_folder import (
    RunRecord,
    differences,
    open_run_folder,
    public_config,
    read_record,
    require_same,
    write_record,
)

REPOSITORY = Path(__file__).parents[2]


def config(**changes: Any) -> SftConfig:
    values: dict[str, Any] = {"model": {"id": "tiny"}, "data": {"train": ["a.jsonl"]}}
    for name, value in changes.items():
        section, _, field = name.partition("__")
        if field:
            values.setdefault(section, {})[field] = value
        else:
            values[section] = value
    return SftConfig.model_validate(values)


def record(**changes: Any) -> RunRecord:
    return RunRecord(config=public_config(config(**changes)), seed=42, fingerprints={"data": "ab12"})


def a_run(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    write_record(folder, record())
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "x").write_text("x")
    (folder / "last").symlink_to("checkpoint-5")
    (folder / ".tmp-00-checkpoint-6").mkdir()
    (folder / "notes.txt").write_text("mine")
    return folder


def test_new_folder_is_made(tmp_path: Path) -> None:
    with open_run_folder(tmp_path / "a" / "b", resume=False, overwrite=False) as folder:
        assert folder.is_dir()


def test_folder_with_foreign_files_is_fine(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with open_run_folder(tmp_path, resume=False, overwrite=False) as folder:
        assert (folder / "notes.txt").exists()


def test_another_run_is_refused(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "out")
    with pytest.raises(ConfigError) as caught, open_run_folder(folder, resume=False, overwrite=False):
        pass
    assert caught.value.message == f"output_dir {folder} already holds a run (run.json, checkpoint-5)"
    assert caught.value.hint == (
        "go on with --resume_from_checkpoint last, replace it with --overwrite_output_dir true, or choose another "
        "--output_dir"
    )
    assert (folder / "checkpoint-5").exists()


def test_overwrite_deletes_the_run_and_nothing_else(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "out")
    with open_run_folder(folder, resume=False, overwrite=True):
        assert {entry.name for entry in folder.iterdir()} - {".lock"} == {"notes.txt"}


def test_resume_keeps_everything(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "out")
    with open_run_folder(folder, resume=True, overwrite=True):
        assert (folder / "checkpoint-5" / "x").exists()
        assert read_record(folder) == record()


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("")
    with (
        pytest.raises(ConfigError, match=r"output_dir .*/out is a file"),
        open_run_folder(path, resume=False, overwrite=True),
    ):
        pass


def test_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ResourceError, match="cannot be written: Not a directory"),
        open_run_folder(tmp_path / "file" / "out", resume=False, overwrite=False),
    ):
        pass


def test_too_little_space_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ResourceError, match="GiB are needed"),
        open_run_folder(tmp_path / "out", resume=False, overwrite=False, bytes_needed=2**50),
    ):
        pass
    assert not (tmp_path / "out").exists()


def test_folder_in_use_is_refused_and_free_after_a_kill(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from swift.train.run_folder import open_run_folder
with open_run_folder(Path({str(tmp_path)!r}), resume=True, overwrite=False):
    print("held", flush=True)
    sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with (
        pytest.raises(ResourceError, match="is in use by another process"),
        open_run_folder(tmp_path, resume=True, overwrite=False),
    ):
        pass
    child.kill()
    child.communicate()
    with open_run_folder(tmp_path, resume=True, overwrite=False) as folder:
        assert folder == tmp_path


def test_record_round_trip_and_damage(tmp_path: Path) -> None:
    full = RunRecord(
        config=public_config(config()),
        seed=1,
        fingerprints={"data": "x"},
        versions=library_versions(),
        git="abc",
        started="2026-01-01T00:00:00Z",
        ledger={"kept": 3},
        totals={"steps": 4},
    )
    write_record(tmp_path, full)
    assert read_record(tmp_path) == full
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run\.json is damaged"):
        read_record(tmp_path)
    with pytest.raises(CheckpointError, match=r"is not a run folder: run\.json is missing"):
        read_record(tmp_path / "nothing")


def test_no_secret_is_written(tmp_path: Path) -> None:
    secret = "hf_very_secret"
    written = record(model__hub_token=secret, data__columns={"token": "query"})
    write_record(tmp_path, written)
    text = (tmp_path / "run.json").read_text()
    assert secret not in text
    assert json.loads(text)["config"]["data"]["columns"] == {"token": "query"}
    assert "max_tokens" in json.loads(text)["config"]["batch"]


def test_harmless_changes_pass() -> None:
    now = record(
        logging__every=1,
        evaluation__every=7,
        checkpoint__resume="last",
        output_dir="elsewhere",
        overwrite=True,
        data__workers=3,
        loop__gradient_checkpointing=True,
    )
    assert differences(record(), now) == []
    assert require_same(record(), now, allow_change=False) == []


def test_changes_that_matter_are_shown() -> None:
    now = record(optimizer__learning_rate=2e-4, data__train=["b.jsonl"], data__columns={"a": "query"})
    with pytest.raises(CheckpointError) as caught:
        require_same(record(), now, allow_change=False)
    assert caught.value.message == (
        'the run to resume is another one: data.train was ["a.jsonl"] and is ["b.jsonl"]; '
        'data.columns was {} and is {"a": "query"}; optimizer.learning_rate was null and is 0.0002'
    )
    assert caught.value.hint == "use the same values, or allow the change with --resume_allow_change true"
    assert len(require_same(record(), now, allow_change=True)) == 3


def test_changed_data_is_shown() -> None:
    now = RunRecord(config=record().config, seed=42, fingerprints={"data": "cd34"})
    with pytest.raises(CheckpointError, match='fingerprint of data was "ab12" and is "cd34"'):
        require_same(record(), now, allow_change=False)


def test_another_tuner_is_shown() -> None:
    found = differences(record(), record(tuner={"type": "full"}))
    assert [(d.name, d.saved, d.now) for d in found] == [("tuner.type", "lora", "full")]


def test_environment(tmp_path: Path) -> None:
    versions = library_versions()
    assert {"python", "platform", "torch", "transformers"} <= versions.keys()
    assert git_revision(tmp_path) is None
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *command], check=True)
    revision = git_revision(tmp_path)
    assert revision is not None
    assert len(revision) == 40
    (tmp_path / "f").write_text("x")
    subprocess.run(["git", "-C", str(tmp_path), "add", "f"], check=True)
    assert git_revision(tmp_path) == f"{revision}-dirty"
