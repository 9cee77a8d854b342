"""`swift datasets`: names that are known, and what a file of the user's own is recognised as."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import islice

from rich.console import Console
from rich.table import Table

from swift.config.data import DataConfig
from swift.data.catalog import ENTRIES, Entry, find, known_names, search
from swift.data.columns import Task, to_sample
from swift.data.ledger import tell
from swift.data.rows import Source
from swift.data.source import open_sources
from swift.data.syntax import parse
from swift.errors import ConfigError, RowError, UnknownNameError
from swift.types import Conversation, Row, Text

_READ = 1000
_BAD_SHOWN = 5
_LONGEST = 400


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after `swift datasets`.

    Raises:
        SwiftError: An unknown name, or a file that cannot be read.
    """
    console = Console(highlight=False, soft_wrap=True)
    if argv[:1] == ["show"]:
        _show(_show_parser().parse_args(argv[1:]), console)
        return 0
    options = _list_parser().parse_args(argv)
    entries = [_known(name) for name in options.names] if options.names else search(options.search or "")
    if options.search and not entries:
        raise UnknownNameError("data set", options.search, known_names(), hint=f"{len(ENTRIES)} are known")
    console.print(_table(entries))
    console.print("Any file, folder, pattern or hub id works too: swift datasets show NAME tells what is in it.")
    return 0


def _list_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift datasets",
        description="List data sets that are known by name. `swift datasets show FILE` describes one in detail.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="known names or hub ids; default: all")
    parser.add_argument("--search", metavar="WORD", help="only those that mention this word")
    return parser


def _show_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift datasets show",
        description="What a data set is recognised as: rows, columns, shape, the first row, and rows that are bad.",
    )
    parser.add_argument("name", metavar="NAME", help="as for --dataset")
    parser.add_argument("--columns", type=_columns, default={}, help='your column names to ours, as {"q": "query"}')
    parser.add_argument("--task", choices=["sft", "pt", "prompt"], default="sft", help="what the rows are for")
    parser.add_argument("--model_name", "--model-name", nargs="+", default=["{{name}}"], help="fills {{name}}")
    parser.add_argument("--model_author", "--model-author", nargs="+", default=["{{author}}"], help="fills {{author}}")
    return parser


def _columns(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--columns {text!r} is not JSON", hint="""as in --columns '{"q": "query"}'""") from error
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise ConfigError(f"--columns {text!r} maps no names to names", hint="""as in --columns '{"q": "query"}'""")
    return value


def _known(name: str) -> Entry:
    entry = find(name)
    if entry is None:
        raise UnknownNameError("data set", name, known_names(), hint="for a file: swift datasets show FILE")
    return entry


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("name", "what", "Hugging Face", "ModelScope"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        table.add_row(entry.name, entry.about, entry.hf or ("built in" if entry.file else ""), entry.ms)
    return table


def _show(options: argparse.Namespace, console: Console) -> None:
    config = DataConfig(
        columns=options.columns, model_name=tuple(options.model_name), model_author=tuple(options.model_author)
    )
    for source in open_sources(parse(options.name), config):
        _describe(source, config, options.task, console)


def _describe(source: Source, config: DataConfig, task: Task, console: Console) -> None:
    rows: list[Row] = []
    kinds: dict[str, int] = {}
    bad: list[str] = []
    read = 0
    for item in islice(source.rows(), _READ):
        read += 1
        if not isinstance(item, Row):
            bad.append(f"{item.origin}: {tell(item.reason, item.detail)}")
            continue
        rows.append(item)
        try:
            kind = _kind(to_sample(item, config, task))
        except RowError as error:
            bad.append(f"{item.origin}: {tell(error.reason, error.detail)}")
        else:
            kinds[kind] = kinds.get(kind, 0) + 1
    columns = dict.fromkeys(str(column) for row in rows for column in row.values)
    count = source.count()
    console.print(f"[bold]{_plain(source.name)}[/bold]: {count} rows", f"(the first {read} read)" * (read < count))
    console.print("columns:", _plain(", ".join(columns) or "none"))
    shapes = "; ".join(f"{kind} ({number})" for kind, number in kinds.items())
    console.print("recognised as:", _plain(shapes or "nothing"))
    console.print("bad rows:", str(len(bad)))
    for line in bad[:_BAD_SHOWN]:
        console.print(_plain(f"  {line}"))
    if rows:
        console.print("first row:")
        for column, value in rows[0].values.items():
            console.print(_plain(f"  {column}: {_short(value)}"))


def _kind(sample: Conversation | Text) -> str:
    if isinstance(sample, Text):
        return "plain text"
    parts = ["one round" if len(sample.messages) <= 3 else "many rounds"]
    if sample.messages[0].role in ("system", "developer"):
        parts.append("system message")
    if sample.tools or any(message.tool_calls for message in sample.messages):
        parts.append("tools")
    if any(message.reasoning for message in sample.messages):
        parts.append("thinking")
    return f"conversation, {', '.join(parts)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(text: str) -> str:
    """Text whose square brackets mean nothing to rich."""
    return text.replace("[", r"\[")
