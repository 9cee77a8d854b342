"""`swift env`: environments of their own for engines and quantizers."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from swift.environments import build, store
from swift.environments.specs import SPECS, spec_of
from swift.hub.cache import folder_size

_GIB = 1024**3


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        SwiftError: An environment that does not exist, or cannot be made.
    """
    options = _parser().parse_args(argv)
    root = store.home(options.dir)
    console = Console(highlight=False, soft_wrap=True)
    if options.action == "add":
        begun = time.monotonic()
        environment = build.add(spec_of(options.name), root, again=options.again)
        versions = environment.record.packages
        console.print(
            f"{options.name}: {len(versions)} packages in {environment.folder}, {time.monotonic() - begun:.0f} s"
        )
    elif options.action == "remove":
        count = store.remove(spec_of(options.name).name, root)
        console.print(f"removed {options.name}" + (f", {count} folders" if count > 1 else ""))
    elif options.json:
        print(json.dumps(_listed(root)))
    else:
        _show(root, console)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swift env",
        description="Environments of their own for engines and quantizers whose libraries do not fit beside ours.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    for action, what in (("add", "make an environment from its tested lock"), ("remove", "delete one")):
        command = actions.add_parser(action, help=what, description=what)
        command.add_argument("name", help=f"one of {', '.join(SPECS)}")
        command.add_argument("--dir", help="folder of environments; default: in the cache")
        if action == "add":
            command.add_argument("--again", action="store_true", help="make it anew, even where it is there")
    listing = actions.add_parser("list", help="what there is, and what is here", description="what is here")
    listing.add_argument("--dir", help="folder of environments; default: in the cache")
    listing.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _listed(root: Path) -> list[dict[str, object]]:
    here = {item.record.name: item for item in reversed(store.found(root))}
    return [
        {
            "name": spec.name,
            "about": spec.about,
            "tested": spec.tested,
            "installed": spec.name in here,
            **(
                {
                    "folder": str(here[spec.name].folder),
                    "current": here[spec.name].current,
                    "made": here[spec.name].record.made,
                    "packages": here[spec.name].record.packages,
                }
                if spec.name in here
                else {}
            ),
        }
        for spec in SPECS.values()
    ]


def _show(root: Path, console: Console) -> None:
    here = {item.record.name: item for item in reversed(store.found(root))}
    table = Table(box=None, pad_edge=False)
    for title in ("environment", "what it is", "here", "tested by us on"):
        table.add_column(title, overflow="fold")
    for spec in SPECS.values():
        state = "no"
        if spec.name in here:
            size = folder_size(here[spec.name].folder) / _GIB
            state = f"{size:.1f} GiB" if here[spec.name].current else "out of date: add it again"
        table.add_row(spec.name, spec.about, state, spec.tested or "nothing")
    console.print(table)
    console.print(f"in {root}; swift env add NAME makes one")
    for path in store.unfinished(root):
        console.print(f"never finished: {path}; swift env add makes it anew, swift env remove deletes it")
