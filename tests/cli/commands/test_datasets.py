"""`swift datasets`."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.cli.commands.datasets import main
from swift.errors import ConfigError, DataError, UnknownNameError


def test_list_and_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    everything = capsys.readouterr().out
    assert "self-cognition" in everything
    assert "gsm8k" in everything
    assert main(["--search", "alpaca"]) == 0
    found = capsys.readouterr().out
    assert "alpaca-cleaned" in found
    assert "gsm8k" not in found
    assert main(["gsm8k"]) == 0
    assert "alpaca" not in capsys.readouterr().out


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "why [bold]x", "r": "so"}\n{"q": "empty", "r": ""}\n{broken\n')
    assert main(["show", str(path), "--columns", '{"q": "query", "r": "response"}']) == 0
    out = capsys.readouterr().out
    assert f"{path}: 3 rows" in out
    assert "columns: q, r" in out
    assert "recognised as: conversation, one round (1)" in out
    assert "bad rows: 2" in out
    assert f"row 2 of {path}: empty answer: turn 2, of the assistant, is empty" in out
    assert f"row 3 of {path}: malformed: column " in out
    assert "  q: why [bold]x" in out


def test_show_builtin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "self-cognition"]) == 0
    assert "bad rows: 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "error", "message"),
    [
        (["gms8k"], UnknownNameError, "unknown data set 'gms8k'"),
        (["--search", "qqqq"], UnknownNameError, "unknown data set 'qqqq'"),
        (["show", "gone.jsonl"], DataError, "no file gone.jsonl"),
        (["show", "a.jsonl", "--columns", "{"], ConfigError, "--columns '{' is not JSON"),
        (["show", "a.jsonl", "--columns", "[1]"], ConfigError, "--columns '[1]' maps no names to names"),
    ],
)
def test_errors(argv: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        main(argv)
    assert str(caught.value) == message
