"""The command `swift`: finds the command's function and turns errors into exit codes.

Exit codes: 0 done; 2 the user can fix it; 1 a bug of ours; 130 and 143 interrupted; 141 nobody reads the output.
Nothing heavy is imported here, and a command's module only when that command is asked for.
"""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from swift.errors import ConfigError, SwiftError, UnknownNameError

Entry = Callable[[Sequence[str]], int]
"""A command: takes the words after its name, returns the exit code."""

COMMANDS: dict[str, tuple[str, str]] = {
    "sft": ("swift.cli.commands.sft:main", "fine-tune a model on conversations"),
    "pt": ("swift.cli.commands.sft:pretrain", "continue pre-training on plain text"),
    "infer": ("swift.cli.commands.infer:main", "chat with a model, or answer a whole data set"),
    "deploy": ("swift.cli.commands.deploy:main", "serve a model over OpenAI's and Anthropic's APIs"),
    "app": ("swift.cli.commands.app:main", "talk to a model, or to a running server, in the browser"),
    "eval": ("swift.cli.commands.eval:main", "measure a model by data sets, benchmarks and lm-eval's tasks"),
    "bench": ("swift.cli.commands.bench:main", "compare experiments (tuner, optimizer, precision) in one table"),
    "export": ("swift.cli.commands.export:main", "merge, quantize, convert to GGUF, publish; each with a certificate"),
    "merge-lora": ("swift.cli.commands.export:merge", "export --merge_lora true"),
    "check": ("swift.cli.commands.check:main", "show what training would see; needs no weights"),
    "plan": ("swift.cli.commands.plan:main", "memory and time of a run, before paying for it"),
    "doctor": ("swift.cli.commands.doctor:main", "versions, devices, hubs; what is broken and how to mend it"),
    "env": ("swift.cli.commands.env:main", "environments of their own for engines such as vLLM"),
    "models": ("swift.cli.commands.models:main", "models that are known by name, and what is supported"),
    "datasets": ("swift.cli.commands.datasets:main", "data sets that are known by name"),
    "schema": ("swift.cli.commands.schema:main", "JSON Schema of a command's configuration"),
    "version": ("swift.cli.commands.version:main", "print the version"),
}
"""Name to "module:function" and what it does."""

REPORT = "this is a bug in swift: please report it with the command, the lines above and the output of `swift doctor`"


def usage() -> str:
    """The text of `swift --help`."""
    width = max(len(name) for name in COMMANDS)
    lines = ["usage: swift <command> [run.yaml] [--key value ...]", "", "commands:"]
    lines += [f"  {name:<{width}}  {help}" for name, (_, help) in COMMANDS.items()]
    lines += [
        "",
        "`swift <command> --help` lists the options of a command. --debug shows the traceback of an error.",
        "",
    ]
    lines.append("example: swift sft --model HuggingFaceTB/SmolLM2-135M-Instruct --dataset rows.jsonl")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. `argv` is without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141 if _stdout_is_closed() else _bug()
    except Exception as error:
        if not _is_for_user(error):
            return _bug()
        if debug:
            _print_traceback()
        _explain(error)
        return 2


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(usage())
        return 0
    name = "version" if words[0] in ("--version", "-V") else words[0]
    if name not in COMMANDS:
        raise UnknownNameError("command", name, list(COMMANDS), hint=f"commands: {', '.join(COMMANDS)}")
    from swift.cli import launch

    with launch.prepared(name):
        return _entry(name)(words[1:])


def _entry(name: str) -> Entry:
    """The function of a command."""
    module, _, function = COMMANDS[name][0].partition(":")
    collects = gc.isenabled()
    gc.disable()  # What modules make stays, so that to look through it for garbage again and again only takes time.
    try:
        return cast(Entry, getattr(import_module(module), function))
    finally:
        if collects:
            gc.enable()


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1


def _stdout_is_closed() -> bool:
    """Whether whoever read our output has gone; if so, nothing more is written to it, also not at exit."""
    import os

    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _is_for_user(error: BaseException) -> bool:
    pydantic = sys.modules.get("pydantic_core")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        return True
    return isinstance(error, SwiftError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC)


def _explain(error: Exception) -> None:
    """Each problem as a line `error:` and, where there is a way out, a line `hint:`."""
    lines = [(str(error).replace("\n", "; "), "")]
    if isinstance(error, ConfigError):
        from swift.config.problems import ProblemsError

        if isinstance(error, ProblemsError):
            lines = [(str(problem), problem.fix) for problem in error.problems]
        else:
            lines = [(error.message, error.hint)]
    elif isinstance(error, SwiftError):
        lines = [(error.message, error.hint)]
    elif isinstance(error, OSError):
        lines = [(f"no space left on the disk: {error.filename or ''}".rstrip(": "), "make room and run it again")]
    for message, hint in lines:
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"hint: {hint}", file=sys.stderr)


def _bug() -> int:
    _print_traceback()
    print(REPORT, file=sys.stderr)
    return 1


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()
