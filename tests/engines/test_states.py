"""What tells the files of a model from others at the same place."""

from __future__ import annotations

import os
from pathlib import Path

from swift.engines.states import states_of, weights_key


def test_weights_are_known_by_their_files_and_times(tmp_path: Path) -> None:
    assert weights_key([tmp_path, tmp_path / "nowhere"]) is None
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x")
    first = weights_key([tmp_path])
    assert first is not None
    (tmp_path / "results.jsonl").write_text("{}")
    assert weights_key([tmp_path]) == first
    os.utime(file, ns=(5, 5))
    assert states_of(file) == [(str(file), 1, 5)]
    assert weights_key([tmp_path]) != first
