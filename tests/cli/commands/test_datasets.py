"""`swift datasets`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.cli.commands.datasets import main
from swift.data.catalog import entries
from swift.errors import ConfigError, DataError, HubError, UnknownNameError


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


def test_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tag", "preference", "--category", "preference", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"hh-rlhf", "ultrafeedback-binarized"} <= {entry["name"] for entry in found}
    assert all(entry["category"] == "preference" and "preference" in entry["tags"] for entry in found)
    assert main(["--category", "agent"]) == 0
    shown = capsys.readouterr().out
    assert "toolace" in shown
    assert "gsm8k" not in shown


def test_show_builtin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "self-cognition"]) == 0
    shown = capsys.readouterr().out
    assert "bad rows: 0" in shown
    assert "--model_name NAME --model_author AUTHOR" in shown


def test_show_what_is_known_asks_no_hub(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    assert main(["show", "lawyer-llama"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "ModelScope AI-ModelScope/lawyer_llama_data" in shown
    assert "rows about 21,476" in shown
    assert "licence unknown" in shown
    assert "warning: its licence is not known here" in shown
    assert "to use it swift sft --model MODEL --dataset 'lawyer-llama'" in shown
    assert main(["show", "open-code-reasoning"]) == 0
    assert "input is our query, output is our response" in capsys.readouterr().out
    with pytest.raises(HubError):
        main(["show", "lawyer-llama", "--rows"])


def test_show_warns_of_what_cannot_be_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "Anthropic/hh-rlhf"]) == 0
    shown = capsys.readouterr().out
    assert "warning: not trained on yet (a better and a worse answer)" in shown
    assert "to use it" not in shown


def test_show_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"query": "why", "response": "so"}\n')
    assert main(["show", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["entry"] is None
    assert told["sources"][0]["kinds"] == {"conversation, one round": 1}
    assert main(["show", "hh-rlhf", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["entry"]["hf"], told["entry"]["task"], told["sources"]) == ("Anthropic/hh-rlhf", None, [])


def test_a_plugin_adds_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from swift.data.catalog import Entry, entries\n"
        'entries.register("ours")(Entry("ours", "our own", hf="us/ours", tags=("pt",)))\n'
    )
    try:
        assert main(["show", "ours", "--plugins", str(plugin)]) == 0
    finally:
        entries._entries.pop("ours")
    shown = capsys.readouterr().out
    assert "us/ours" in shown
    assert "swift pt --model MODEL --dataset 'ours'" in shown


@pytest.mark.parametrize(
    ("argv", "error", "message"),
    [
        (["gms8k"], UnknownNameError, "unknown data set 'gms8k'"),
        (["--search", "qqqq"], UnknownNameError, "unknown data set 'qqqq'"),
        (["--tag", "preferense"], UnknownNameError, "unknown tag 'preferense'"),
        (["show", "gone.jsonl"], DataError, "no file gone.jsonl"),
        (["show", "a.jsonl", "--columns", "{"], ConfigError, "--columns '{' is not JSON"),
        (["show", "a.jsonl", "--columns", "[1]"], ConfigError, "--columns '[1]' maps no names to names"),
    ],
)
def test_errors(argv: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        main(argv)
    assert str(caught.value) == message
