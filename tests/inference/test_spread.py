"""A data set over several processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.api import infer
from swift.config.runs import InferConfig
from swift.errors import DataError, EngineError
from swift.models.tiny import save_tiny
from tests.engines.encoding.checkpoints import save

PLUGIN = """
import os
from swift.data.shapes import data_shapes
from swift.types import Text

@data_shapes.register("deadly")
def deadly(row):
    if row.values.get("deadly") and not os.path.exists({flag!r}):
        os._exit(9)
    return None
"""


def config(folder: Path, rows: Path, out: Path, **more: object) -> InferConfig:
    values = {
        "model": {"id": str(folder), "dtype": "float32"},
        "data": {"validation": [str(rows)]},
        "result_path": str(out),
        "generation": {"max_new_tokens": 6, "temperature": 1.0},
        "max_batch_size": 1,
        **more,
    }
    return InferConfig.model_validate(values)


def write(path: Path, count: int, deadly: int | None = None) -> Path:
    rows = [{"query": "word " * (number % 5 + 1), "deadly": number == deadly} for number in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    folder, rows = save_tiny(tmp_path / "m"), write(tmp_path / "rows.jsonl", 11)
    assert infer(config(folder, rows, tmp_path / "one.jsonl")) == 0
    assert infer(config(folder, rows, tmp_path / "two.jsonl", num_processes=2)) == 0
    one, two = ((tmp_path / name).read_bytes() for name in ("one.jsonl", "two.jsonl"))
    assert one == two
    assert one.count(b"\n") == 11
    assert not list(tmp_path.glob("*.part-*"))
    identities = [(tmp_path / f"{name}.jsonl.run.json").read_bytes() for name in ("one", "two")]
    assert identities[0] == identities[1]
    # A file that is there is gone on with, and only by a run of the same identity.
    (tmp_path / "two.jsonl").write_bytes(two[: len(two) // 2])
    assert infer(config(folder, rows, tmp_path / "two.jsonl", num_processes=2)) == 0
    assert (tmp_path / "two.jsonl").read_bytes() == one
    with pytest.raises(DataError, match="seed"):
        infer(config(folder, rows, tmp_path / "two.jsonl", num_processes=2, seed=1))


@pytest.mark.slow
def test_a_process_that_dies_loses_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flag = tmp_path / "live"
    plugin = tmp_path / "deadly.py"
    plugin.write_text(PLUGIN.format(flag=str(flag)))
    folder, rows = save_tiny(tmp_path / "m"), write(tmp_path / "rows.jsonl", 16, deadly=14)
    out = tmp_path / "out.jsonl"
    asked = config(folder, rows, out, num_processes=2, plugins=[str(plugin)])
    with pytest.raises(EngineError, match=r"process 2 of 2 has ended with exit code 9, before the rows 9 to 16"):
        infer(asked)
    assert not out.exists()
    parts = [out.with_name(f"out.jsonl.part-{number}-of-2") for number in (1, 2)]
    lines = [path.read_bytes().count(b"\n") for path in parts]
    assert lines[0] == 8
    assert 0 < lines[1] < 8
    with pytest.raises(DataError, match="another number of processes"):
        infer(asked.model_copy(update={"num_processes": 3}))
    flag.touch()
    capfd.readouterr()
    assert infer(asked) == 0
    assert f"{lines[1]} of 8 rows are answered already" in capfd.readouterr().err
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["row"] for line in found] == list(range(1, 17))
    assert infer(config(folder, rows, tmp_path / "one.jsonl", plugins=[str(plugin)])) == 0
    assert (tmp_path / "one.jsonl").read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_vectors_of_two_processes(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "bert")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"text {number}"}) + "\n" for number in range(7)))
    for name, count in (("one", 1), ("two", 2)):
        assert infer(config(folder, rows, tmp_path / f"{name}.jsonl", num_processes=count)) == 0
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


@pytest.mark.slow
def test_what_is_wrong_in_a_process_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "rows.jsonl", 4)
    (tmp_path / "m").mkdir()
    with pytest.raises(EngineError, match="process 1 of 2 has ended with exit code 2"):
        infer(config(tmp_path / "m", rows, tmp_path / "out.jsonl", num_processes=2))
    assert "process 1: " in capfd.readouterr().err
