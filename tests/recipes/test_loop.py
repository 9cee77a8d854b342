"""The example of the whole way, on a tiny model: tune, evaluate, quantize, evaluate, deploy, evaluate over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from swift.models.tiny import save_tiny

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_engine_and_server_say_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    model = save_tiny(tmp_path / "model", "llama")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        **os.environ,
        "PYTHON": sys.executable,
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        # A model of random weights knows no stop token.
        "EXPORT_OPTIONS": "--certificate false",
    }
    script = ["sh", str(ROOT / "examples/loop/run.sh"), str(tmp_path / "out"), str(model), "--max_steps", "2"]
    done = subprocess.run(script, env=variables, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "engine and server: 60 of 60 answers are the same" in done.stdout
    counts = [
        json.loads((tmp_path / "out" / f"eval-{name}" / "summary.json").read_text())["scores"]["accuracy"]["count"]
        for name in ("before", "tuned", "quantized", "served")
    ]
    assert counts == [60] * 4
