"""Make one environment a system under benchmarks/.envs: `python -m benchmarks.setup_peers [NAME ...]`.

Each is installed alone with pip, peers in pinned versions. torch comes first, in one version for all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).parent / ".envs"
TORCH = "torch==2.13.0"
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "ours": ("--editable", str(Path(__file__).resolve().parents[1]), "pytorch-optimizer>=4.1"),
    "ms-swift": ("ms-swift==4.6.0",),
    "ms-swift-transformers-5.0": ("ms-swift==4.6.0", "transformers==5.0.0"),
    "llamafactory": ("llamafactory==0.9.5", "torchvision<0.29"),
    "trl": ("trl==1.16.0", "peft==0.21.2"),
}


def environment_python(name: str) -> Path:
    """The interpreter of a system's environment, whether it exists or not."""
    return ENVIRONMENTS / name / "bin" / "python"


def set_up(name: str) -> Path:
    """Make the environment of a system unless it is complete; returns its interpreter."""
    python = environment_python(name)
    stamp = ENVIRONMENTS / name / ".complete"
    wanted = "\n".join((TORCH, *REQUIREMENTS[name]))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"{name}: installing {', '.join(REQUIREMENTS[name])} into {ENVIRONMENTS / name}", flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENTS / name)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, TORCH])
    _run([*pip, TORCH, *REQUIREMENTS[name]])
    remove_broken(python)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def remove_broken(python: Path) -> None:
    """Take out media libraries that do not load beside this torch, which no text run needs.

    PyPI's torchvision and torchaudio are built against CUDA and do not load beside a torch for the CPU; then every
    model class fails to import. Without torchvision transformers does without. One peer imports torchaudio
    unconditionally, so an empty module takes its place.
    """
    for library in ("torchvision", "torchaudio"):
        present = subprocess.run([str(python), "-m", "pip", "show", "--quiet", library], capture_output=True)
        if present.returncode:
            continue
        loads = subprocess.run([str(python), "-c", f"import {library}"], capture_output=True)
        if loads.returncode:
            print(f"  {library} does not load here: taken out", flush=True)
            _run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", library])
            if library == "torchaudio":
                _write_empty(python, library)


def _write_empty(python: Path, library: str) -> None:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    target = Path(found.stdout.strip()) / f"{library}.py"
    target.write_text('"""Empty: the real one does not load beside this torch."""\n', encoding="utf-8")


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    """Set up the systems that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(REQUIREMENTS)}; default: all")
    names = parser.parse_args().names or list(REQUIREMENTS)
    unknown = sorted(set(names) - set(REQUIREMENTS))
    if unknown:
        parser.error(f"no such system: {', '.join(unknown)}; there are {', '.join(REQUIREMENTS)}")
    for name in names:
        print(f"{name}: {set_up(name)}")


if __name__ == "__main__":
    main()
