"""Where the runs happen: environment variables, installed versions, the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

KEPT = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables of our own environment that runs inherit; nothing else, so that nobody is helped or hindered."""


def environment(python: Path, cache: Path, shared: Path, threads: int, preload: Path | None) -> dict[str, str]:
    """Variables of a run: the same for all, offline, with caches of its own so that every run does all its work.

    Args:
        python: Interpreter of the system's environment; its folder of programs is searched first.
        cache: An empty folder.
        shared: A folder that stays, for what is made once in a user's life (lists of fonts).
    """
    variables = {name: os.environ[name] for name in KEPT if name in os.environ}
    variables |= {
        "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}",
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(cache / "huggingface"),
        "MODELSCOPE_CACHE": str(cache / "modelscope"),
        "XDG_CACHE_HOME": str(cache),
        "MPLCONFIGDIR": str(shared / "matplotlib"),
    }
    if preload is not None:
        variables["LD_PRELOAD"] = str(preload)
    return variables


def installed(python: Path, distributions: Sequence[str]) -> dict[str, str]:
    """Versions of `distributions` in the environment of `python`.

    Raises:
        subprocess.CalledProcessError: One of them is not installed there.
    """
    code = "import sys, json, importlib.metadata as m; print(json.dumps({d: m.version(d) for d in sys.argv[1:]}))"
    done = subprocess.run([str(python), "-c", code, *distributions], stdout=subprocess.PIPE, check=True, cwd="/")
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def describe(versions: Mapping[str, str]) -> str:
    """`name version, name version`."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def machine() -> str:
    """Processor, cores and memory."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
