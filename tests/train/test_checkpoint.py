"""Checkpoints are whole or absent, verified, found again, and pruned."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from swift.errors import CheckpointError, ResourceError
from swift.train.checkpoint import (
    clean_temporary,
    find_checkpoint,
    load_checkpoint,
    mark_best,
    prune,
    require_space,
    save_checkpoint,
)
from swift.train.manifest import damage, read_manifest

REPOSITORY = Path(__file__).parents[2]


def write_weights(folder: Path) -> None:
    save_file({"w": torch.arange(4.0)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")


def save(run: Path, step: int) -> Path:
    return save_checkpoint(
        run, step, write_weights=write_weights, tensors={"a/x": torch.tensor([step])}, state={"step": step}
    )


def names(run: Path) -> list[str]:
    return sorted(entry.name for entry in run.iterdir())


def find_quietly(run: Path) -> tuple[Path, list[str]]:
    said: list[str] = []
    return find_checkpoint("last", run, warn=said.append), said


def test_weights_are_as_readable_as_the_run_folder(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    wanted = path.stat().st_mode & 0o666
    assert {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()} == {wanted}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    tensors = {
        "optimizer/layer.0/exp_avg": torch.randn(3, 5),
        "optimizer/layer.0/step": torch.tensor(7.0),
        "rng/torch": torch.randint(0, 256, (100,), dtype=torch.uint8),
        "alone": torch.randn(2, 3).bfloat16().t(),
    }
    state = {"step": 7, "nested": {"x": [1.1, None, True]}, "float": 0.1 + 0.2}
    path = save_checkpoint(tmp_path, 7, write_weights=write_weights, tensors=tensors, state=state)
    loaded, values = load_checkpoint(path)
    assert values == state
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], t) and loaded[name].dtype == t.dtype for name, t in tensors.items())
    assert torch.equal(load_file(path / "model.safetensors")["w"], torch.arange(4.0))


def test_folder_holds_what_the_manifest_says_and_no_pickle(tmp_path: Path) -> None:
    path = save(tmp_path, 3)
    found = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} - {"manifest.json"}
    assert found == {"model.safetensors", "config.json", "state/a.safetensors", "state/state.json"}
    assert set(read_manifest(path).files) == found
    assert names(tmp_path) == ["checkpoint-3", "last"]
    assert os.readlink(tmp_path / "last") == "checkpoint-3"


def test_links_are_relative_and_move(tmp_path: Path) -> None:
    first = save(tmp_path, 1)
    mark_best(tmp_path, first)
    save(tmp_path, 2)
    assert os.readlink(tmp_path / "best") == "checkpoint-1"
    assert os.readlink(tmp_path / "last") == "checkpoint-2"
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert find_checkpoint(moved / "best", moved).name == "checkpoint-1"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: (p / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda p: (p / "model.safetensors").write_bytes(b"short"), "has 5 bytes instead of"),
        (lambda p: flip(p / "state/a.safetensors"), "state/a.safetensors has changed"),
        (lambda p: (p / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda p: (p / "manifest.json").write_text("{"), "manifest.json is damaged"),
    ],
)
def test_damaged_newest_falls_back_and_says_so(tmp_path: Path, harm, words: str) -> None:
    older = save(tmp_path, 1)
    newest = save(tmp_path, 2)
    harm(newest)
    assert words in damage(newest)
    found, said = find_quietly(tmp_path)
    assert found == older
    assert len(said) == 1
    assert words in said[0]
    assert "checkpoint-2" in said[0]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_damaged_checkpoint_named_by_the_user_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    flip(path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"checkpoint-1 is damaged: model.safetensors has changed"):
        find_checkpoint(path, tmp_path)
    with pytest.raises(CheckpointError, match="holds no undamaged checkpoint"):
        find_quietly(tmp_path)


def test_unknown_checkpoint_lists_those_that_exist(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    with pytest.raises(CheckpointError, match="no checkpoint 'checkpoint-9'") as caught:
        find_checkpoint("checkpoint-9", tmp_path)
    assert caught.value.hint.endswith("checkpoint-2, checkpoint-1")
    assert find_checkpoint("checkpoint-1", tmp_path) == (tmp_path / "checkpoint-1").resolve()


def test_last_is_the_one_saved_last_even_if_its_step_is_lower(tmp_path: Path) -> None:
    for step in (10, 20, 30, 15):
        save(tmp_path, step)
    assert find_quietly(tmp_path)[0].name == "checkpoint-15"
    assert {path.name for path in prune(tmp_path, 2)} == {"checkpoint-10", "checkpoint-20"}


def test_prune_keeps_newest_best_and_last(tmp_path: Path) -> None:
    mark_best(tmp_path, save(tmp_path, 1))
    for step in range(2, 7):
        save(tmp_path, step)
    foreign = tmp_path / "checkpoint-99"
    foreign.mkdir()
    prune(tmp_path, 2, keep=[tmp_path / "checkpoint-3"])
    kept = ["best", "checkpoint-1", "checkpoint-3", "checkpoint-5", "checkpoint-6", "checkpoint-99", "last"]
    assert names(tmp_path) == kept
    assert prune(tmp_path, None) == []


def test_same_step_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = save_checkpoint(tmp_path, 1, write_weights=write_weights, tensors={}, state={"second": True})
    assert load_checkpoint(path)[1] == {"second": True}
    assert names(tmp_path) == ["checkpoint-1", "last"]


def test_failed_save_leaves_nothing(tmp_path: Path) -> None:
    save(tmp_path, 1)

    def fail(folder: Path) -> None:
        write_weights(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        save_checkpoint(tmp_path, 2, write_weights=fail, tensors={}, state={"step": 2})
    assert names(tmp_path) == ["checkpoint-1", "last"]


def test_full_disk_is_said_with_numbers_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResourceError, match=r"the disk filled up while .* was saved to \([0-9.]+ GiB free now\)"):
        save_checkpoint(tmp_path, 1, write_weights=fill, tensors={}, state={"step": 1})
    assert names(tmp_path) == []
    with pytest.raises(ResourceError, match=r"GiB of free disk space, and 1048576.00 GiB are needed"):
        require_space(tmp_path / "not" / "there", 2**50)
    with pytest.raises(ResourceError, match="are needed"):
        save_checkpoint(tmp_path, 1, write_weights=write_weights, tensors={}, state={"step": 1}, expected_bytes=2**50)


@pytest.mark.slow
def test_write_that_the_kernel_refuses_half_way_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the file size, in a process of its own."""
    code = f"""
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import torch
from swift.train.checkpoint import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
def write(folder): (folder / "x").write_bytes(bytes(10000))
try:
    save_checkpoint(Path({str(tmp_path)!r}), 1, write_weights=write, tensors={{}}, state={{"a": 1}})
except OSError as error:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, timeout=60).returncode == 7
    assert names(tmp_path) == []


def test_weights_only_checkpoint_cannot_be_resumed(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, write_weights=write_weights, tensors={}, state={})
    assert not (path / "state").exists()
    with pytest.raises(CheckpointError, match="holds weights only"):
        load_checkpoint(path)


def test_leftovers_go_and_a_replaced_checkpoint_comes_back(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    path.rename(tmp_path / ".old-0011aabb-checkpoint-1")
    (tmp_path / ".tmp-00112233-checkpoint-2").mkdir()
    (tmp_path / ".tmp-00112233-checkpoint-2" / "half").write_text("x")
    (tmp_path / ".tmp-44556677-last").symlink_to("checkpoint-2")
    removed = clean_temporary(tmp_path)
    assert [p.name for p in removed] == [".tmp-00112233-checkpoint-2", ".tmp-44556677-last"]
    assert names(tmp_path) == ["checkpoint-1", "last"]
    assert find_quietly(tmp_path) == (path, [])


def test_loaded_tensors_outlive_their_file(tmp_path: Path) -> None:
    path = save_checkpoint(
        tmp_path, 1, write_weights=write_weights, tensors={"a/x": torch.arange(5000)}, state={"s": 1}
    )
    tensors, _ = load_checkpoint(path)
    (path / "state" / "a.safetensors").write_bytes(b"")
    assert torch.equal(tensors["a/x"], torch.arange(5000))


SAVER = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from swift.train.checkpoint import clean_temporary, mark_best, prune, save_checkpoint
run = Path(sys.argv[1])
clean_temporary(run)
first = int(sys.argv[2])
def write(folder):
    for i in range(3):
        save_file({"w": torch.full((1000,), float(step))}, folder / f"model-{i}.safetensors")
print("ready", flush=True)
for step in range(first, first + 100000):
    path = save_checkpoint(run, step % 7, write_weights=write, tensors={"o/x": torch.full((50,), float(step))},
                           state={"step": step, "name": step % 7})
    if step % 3 == 0:
        mark_best(run, path)
    prune(run, 2)
    print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_moment_leaves_a_whole_newest_checkpoint(tmp_path: Path) -> None:
    """SIGKILL at random moments of saving, replacing, linking and pruning; what was reported saved is never lost."""
    chance = random.Random(0)
    step = 1
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path), str(step)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.02 + chance.random() * 0.25)
        child.send_signal(signal.SIGKILL)
        reported = [int(line) for line in child.communicate()[0].splitlines()]
        clean_temporary(tmp_path)
        assert all(not damage(path) for path in tmp_path.glob("checkpoint-*")), "a half checkpoint under its name"
        if not reported and not any(tmp_path.glob("checkpoint-*")):
            continue
        found, said = find_quietly(tmp_path)
        tensors, state = load_checkpoint(found)
        assert said == []
        assert state["step"] >= max(reported, default=0)
        assert torch.equal(tensors["o/x"], torch.full((50,), float(state["step"])))
        assert read_manifest(found).step == state["name"]
        assert not [entry for entry in names(tmp_path) if entry.startswith(".")]
        step = state["step"] + 1
    assert step > 12, "the saver made progress between the kills"


def test_manifest_is_readable_by_others(tmp_path: Path) -> None:
    import hashlib

    path = save(tmp_path, 4)
    content = json.loads((path / "manifest.json").read_text())
    assert content["format"] == 1
    assert content["step"] == 4
    for name, record in content["files"].items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == record["sha256"]
        assert (path / name).stat().st_size == record["size"]
