"""The reference page of every option: `python -m swift.config.reference > docs/reference.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from swift.config.app import AppConfig
from swift.config.bench import BenchConfig
from swift.config.export import ExportConfig
from swift.config.help import NOTES
from swift.config.looks import CheckConfig, PlanConfig
from swift.config.option import Config
from swift.config.runs import EvalConfig, InferConfig
from swift.config.schema import REQUIRED, Option, Section, table
from swift.config.serve import ServeConfig
from swift.config.sft import SftConfig

ROOTS: dict[str, type[Config]] = {
    "sft": SftConfig,
    "infer": InferConfig,
    "eval": EvalConfig,
    "bench": BenchConfig,
    "export": ExportConfig,
    "deploy": ServeConfig,
    "app": AppConfig,
    "check": CheckConfig,
    "plan": PlanConfig,
}
"""Command to its configuration class. `pt` is `sft` with `task: pt`."""

_INTRODUCTION = """\
# Reference of all options

Generated from the fields in `swift/config` by `python -m swift.config.reference`; do not edit.

"""


def reference() -> str:
    """The whole page as Markdown: each command's own options, and each section that commands share once."""
    text = [_INTRODUCTION + "\n".join(f"- {note}" for note in NOTES) + "\n"]
    shared: dict[tuple[str, str | None], tuple[Section, list[str]]] = {}
    for command, root in ROOTS.items():
        sections = table(root).sections
        text.append(f"\n## swift {command}\n\n{sections[0].help}\n")
        names = dict.fromkeys(f"[{section.key}](#{section.path[0]})" for section in sections[1:])
        text.append(f"\nSections: {', '.join(names)}.\n\n")
        text += _rows(sections[0])
        for section in sections[1:]:
            shared.setdefault((section.key, section.tag), (section, []))[1].append(command)
    heading = ""
    for section, commands in shared.values():
        if section.key != heading:
            heading = section.key
            text.append(f"\n## {heading}\n\n{section.help} Used by: {', '.join(commands)}.\n\n")
        if section.tag is not None:
            text.append(f"\n### {section.key} of type {section.tag}\n\n{section.help}\n\n")
        text += _rows(section)
    return "".join(text)


def _rows(section: Section) -> Iterator[str]:
    if not section.options:
        return
    yield "| key | flags | value | default | meaning |\n|---|---|---|---|---|\n"
    for option in section.options:
        yield f"| {' | '.join(_cells(option))} |\n"


def _cells(option: Option) -> Iterator[str]:
    yield f"`{option.key}`"
    yield ", ".join(f"`--{name}`" for name in option.flags) or f"`--{option.key}`"
    yield f"`{option.type}`".replace("|", "\\|") + (f", {option.rule}" if option.rule else "")
    yield "required" if option.default == REQUIRED else f"`{option.default}`" if option.default else ""
    yield option.help.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
