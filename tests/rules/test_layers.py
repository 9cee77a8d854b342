"""A module imports only its own and lower layers; what must start fast imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rules.sources import ROOT, files, module

TORCH = ("torch", "transformers", "peft", "datasets", "modelscope", "matplotlib")


def test_import_contracts() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def loaded(code: str, tmp_path: Path) -> set[str]:
    """Top-level modules that are in memory after `code` has run in a fresh interpreter."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\n" + (
        "import json\nopen('modules', 'w').write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads((tmp_path / "modules").read_text()))


@pytest.mark.parametrize(
    ("argv", "absent"),
    [
        (["--help"], (*TORCH, "pydantic", "numpy", "yaml", "rich", "importlib.metadata")),
        (["version"], (*TORCH, "pydantic", "numpy", "yaml", "rich")),
        (["sft", "--help"], (*TORCH, "numpy", "yaml", "rich", "asyncio")),
        (["sft"], (*TORCH, "numpy", "yaml", "rich")),
        (["schema", "sft"], (*TORCH, "numpy", "yaml", "rich")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_loads_little(argv: list[str], absent: Sequence[str], tmp_path: Path) -> None:
    found = loaded(f"from swift.cli.main import main; main({argv!r})", tmp_path)
    assert found & set(absent) == set()


def light(name: str) -> bool:
    """Whether a module belongs to what worker processes and `--help` import."""
    parts = name.split(".")
    if parts[1:2] == ["data"]:
        return parts[-1] not in ("collate", "feed", "slices", "stream_feed")
    return parts[1:2] in (["errors"], ["registry"], ["types"], ["config"], ["hub"], ["chat"], ["cli"])


def test_light_modules_load_no_torch(tmp_path: Path) -> None:
    names = [name for path in files() if light(name := module(path))]
    assert len(names) > 20
    code = "\n".join(f"import {name}" for name in names)
    assert loaded(code, tmp_path) & {"torch", "transformers", "peft"} == set()
