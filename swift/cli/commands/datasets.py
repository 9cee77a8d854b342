"""`swift datasets`: names that are known, and what a file of the user's own is recognised as."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from swift.cli.dataset_rows import Described, describe
from swift.config.data import DataConfig
from swift.data.catalog import Entry, all_entries, find, known_names, search
from swift.data.catalog.entry import CATEGORIES
from swift.data.columns import Task
from swift.data.plugins import load_plugins
from swift.data.source import open_sources
from swift.data.syntax import DatasetRef, parse
from swift.errors import ConfigError, UnknownNameError

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
    load_plugins(options.plugins)
    entries = _chosen(options)
    if options.json:
        print(json.dumps([_plain(entry) for entry in entries], ensure_ascii=False))
        return 0
    console.print(_table(entries))
    console.print("swift datasets show NAME tells more, also of any file, folder, pattern or hub id; those work too.")
    return 0


def _list_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift datasets",
        description="List data sets that are known by name. `swift datasets show NAME` describes one in detail.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="known names or hub ids; default: all")
    parser.add_argument("--search", metavar="WORD", default="", help="only those that mention this word")
    parser.add_argument("--tag", default="", help="only those with this tag, such as sft, preference, image, zh, law")
    parser.add_argument("--category", choices=CATEGORIES, help="only those of this kind")
    _common(parser)
    return parser


def _show_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift datasets show",
        description="What is known of a data set, how to use it, and what its rows are recognised as: rows, columns, "
        "shape, the first row, and rows that are bad.",
    )
    parser.add_argument("name", metavar="NAME", help="as for --dataset")
    parser.add_argument("--rows", action="store_true", help="download a known data set too, and look at its rows")
    parser.add_argument("--columns", type=_columns, default={}, help='your column names to ours, as {"q": "query"}')
    parser.add_argument("--task", choices=["sft", "pt", "prompt"], help="what the rows are for; default: sft")
    parser.add_argument("--model_name", "--model-name", nargs="+", default=["{{name}}"], help="fills {{name}}")
    parser.add_argument("--model_author", "--model-author", nargs="+", default=["{{author}}"], help="fills {{author}}")
    _common(parser)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plugins", nargs="+", default=[], metavar="FILE", help="your Python files, imported first")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _columns(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--columns {text!r} is not JSON", hint="""as in --columns '{"q": "query"}'""") from error
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise ConfigError(f"--columns {text!r} maps no names to names", hint="""as in --columns '{"q": "query"}'""")
    return value


def _chosen(options: argparse.Namespace) -> list[Entry]:
    known = all_entries()
    tags = sorted({tag for entry in known for tag in entry.tags})
    if options.tag and options.tag not in tags:
        raise UnknownNameError("tag", options.tag, tags, hint=f"there are {', '.join(tags)}")
    found = search(options.search, tag=options.tag, category=options.category)
    if options.names:
        named = [_known(name) for name in options.names]
        found = [entry for entry in named if entry in found]
    if options.search and not found:
        raise UnknownNameError("data set", options.search, known_names(), hint=f"{len(known)} are known")
    return found


def _known(name: str) -> Entry:
    entry = find(name)
    if entry is None:
        raise UnknownNameError("data set", name, known_names(), hint="for a file: swift datasets show FILE")
    return entry


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("name", "what", "tags", "licence"):
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for entry in entries:
        table.add_row(*map(_escape, (entry.name, entry.about, " ".join(entry.tags), entry.licence or "unknown")))
    return table


def _show(options: argparse.Namespace, console: Console) -> None:
    load_plugins(options.plugins)
    ref = parse(options.name)
    entry = None if ref.hub == "local" else find(ref.name)
    config = DataConfig(
        columns=options.columns, model_name=tuple(options.model_name), model_author=tuple(options.model_author)
    )
    # A known set may be terabytes: what the catalog says of it is shown without asking its hub.
    look = options.rows or entry is None or bool(entry.file)
    task: Task = options.task or (entry.task if entry else None) or "sft"
    described = [describe(source, config, task) for source in open_sources(ref, config)] if look else []
    if options.json:
        rows = [dataclasses.asdict(source) for source in described]
        print(json.dumps({"entry": entry and _plain(entry), "sources": rows}, ensure_ascii=False, default=str))
        return
    if entry is not None:
        _print_entry(entry, ref, console)
    for source in described:
        _print_rows(source, console)


def _print_entry(entry: Entry, ref: DatasetRef, console: Console) -> None:
    asked = "".join(f" --model_{word} {word.upper()}" for word in ("name", "author")) if entry.placeholders else ""
    facts = {
        "name": entry.name,
        "about": entry.about,
        "category": entry.category,
        "tags": " ".join(entry.tags),
        "Hugging Face": entry.hf,
        "ModelScope": entry.ms,
        "rows": f"about {entry.rows:,}" if entry.rows else "",
        "subset": entry.subset and f"{entry.subset}, unless another is named",
        "split": entry.split and f"{entry.split}, unless another is named",
        "columns": ", ".join(f"{theirs} is our {ours}" for theirs, ours in entry.columns.items()),
        "licence": entry.licence or "unknown",
        "to use it": entry.task and f"swift {entry.task} --model MODEL --dataset '{ref.text}'{asked}",
    }
    for name, value in facts.items():
        if value:
            console.print(_escape(f"{name:<14}{value}"))
    for warning in entry.warnings:
        console.print(f"warning: {warning}")
    if not entry.file:
        console.print("its rows: add --rows, which downloads what is not here yet")


def _print_rows(source: Described, console: Console) -> None:
    console.print(
        f"[bold]{_escape(source.name)}[/bold]: {source.count} rows",
        f"(the first {source.read} read)" * (source.read < source.count),
    )
    console.print("columns:", _escape(", ".join(source.columns) or "none"))
    shapes = "; ".join(f"{kind} ({number})" for kind, number in source.kinds.items())
    console.print("recognised as:", _escape(shapes or "nothing"))
    console.print("bad rows:", str(len(source.bad)))
    for line in source.bad[:_BAD_SHOWN]:
        console.print(_escape(f"  {line}"))
    if source.first is not None:
        console.print("first row:")
        for column, value in source.first.items():
            console.print(_escape(f"  {column}: {_short(value)}"))


def _plain(entry: Entry) -> dict[str, object]:
    return {**dataclasses.asdict(entry), "task": entry.task, "warnings": entry.warnings}


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _escape(text: str) -> str:
    """Text whose square brackets mean nothing to rich."""
    return text.replace("[", r"\[")
