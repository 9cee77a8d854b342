"""Exit codes, and what is written where."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import swift
from swift.cli import main as cli

# The commands below are real modules in a temporary folder, so that `main` imports them as it imports ours.
BROKEN = """
import errno, time
from pydantic import BaseModel
from swift.errors import CheckpointError

def user(argv): raise CheckpointError("no checkpoint in 'x'", hint="look elsewhere")
def bug(argv): raise ZeroDivisionError("oops")
def full(argv): raise OSError(errno.ENOSPC, "No space left on device", "out/weights")
def missing(argv): raise FileNotFoundError(errno.ENOENT, "No such file", "x")
def interrupt(argv): raise KeyboardInterrupt
def stop(argv): raise SystemExit(7)
def pipe(argv): raise BrokenPipeError(errno.EPIPE, "a worker's pipe")
def many(argv):
    for n in range(200000): print(n)
    return 0
def wait(argv):
    print("ready", flush=True)
    try: time.sleep(60)
    finally: print("cleaned up", flush=True)
def invalid(argv):
    class A(BaseModel): n: int
    A(n="x")
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that end in every way there is."""
    (tmp_path / "broken_commands.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("user", "bug", "full", "missing", "interrupt", "stop", "pipe", "invalid"):
        monkeypatch.setitem(cli.COMMANDS, name, (f"broken_commands:{name}", "for this test"))


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(
    ("argv", "code", "expected"),
    [
        (["user"], 2, "error: no checkpoint in 'x'\nhint: look elsewhere\n"),
        (["full"], 2, "error: no space left on the disk: out/weights\nhint: make room and run it again\n"),
        (["interrupt"], 130, "interrupted\n"),
        (["stop"], 7, ""),
        (
            ["sft", "--seed", "x"],
            2,
            "error: --seed: 'x' is not a whole number\nhint: Seed of initialisation, dropout and noise. Default: 42.\n",
        ),
    ],
)
def test_exit_codes(argv: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == code
    assert capsys.readouterr().err == expected


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("name", ["bug", "missing", "pipe"])
def test_bugs_show_a_traceback_and_where_to_report(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith(cli.REPORT + "\n")


@pytest.mark.usefixtures("command")
def test_invalid_values_are_the_users_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["invalid"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("command")
def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["user", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: no checkpoint in 'x'\nhint: look elsewhere\n")


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help(argv: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in cli.COMMANDS)


def test_wrong_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exprot"]) == 2
    assert capsys.readouterr().err == "error: unknown command 'exprot'\nhint: did you mean export?\n"
    assert cli.main(["zzz"]) == 2
    assert "hint: commands: sft, pt, " in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["version"], ["--version"], ["-V"]):
        assert cli.main(argv) == 0
        assert capsys.readouterr().out == f"swift-finetune {swift.__version__}\n"


@pytest.mark.parametrize("name", ["sft", "pt", "infer", "eval", "export", "merge-lora", "check", "plan"])
def test_help_of_commands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"swift {name}: ")
    assert "--output_dir" in out or name == "infer"


@pytest.mark.parametrize("name", ["sft", "infer", "eval", "export", "check", "plan"])
def test_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", name]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_schema_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert "swift schema sft|infer" in capsys.readouterr().out
    assert cli.main(["schema", "stf"]) == 2
    assert "did you mean sft?" in capsys.readouterr().err
    assert cli.main(["schema", "sft", "x"]) == 2


def test_every_problem_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sft", "--packing", "--padding_free", "false", "--add_version", "true"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in err if line.startswith("error")] == [" --model", " --dataset", " --packing"]
    assert sum(line.startswith("hint") for line in err) == 3


def script(tmp_path: Path, name: str) -> list[str]:
    (tmp_path / "broken_commands.py").write_text(BROKEN)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from swift.cli import main as cli
cli.COMMANDS[{name!r}] = ("broken_commands:{name}", "for this test")
sys.exit(cli.main([{name!r}]))
"""
    return [sys.executable, "-c", code]


def test_closed_pipe_is_quiet(tmp_path: Path, root: Path) -> None:
    with subprocess.Popen(
        script(tmp_path, "many"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 141


def test_terminate_cleans_up(tmp_path: Path, root: Path) -> None:
    with subprocess.Popen(script(tmp_path, "wait"), stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "cleaned up\n"
        assert process.wait(30) == 143
