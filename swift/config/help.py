"""The help text of a command, from the fields themselves."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from swift.config.schema import REQUIRED, Option, Section, Table

NOTES = (
    "Every option can stand in the configuration file, nested as below or by its flat name; flags win over the file.",
    "Dashes and underscores in names are the same. Lists take spaces. A bare --flag means true; --flag=value works.",
    "Mappings are JSON. Of several values for one option the last wins. `null` unsets an option that may be unset.",
)


def help_text(command: str, summary: str, table: Table, *, width: int = 100) -> str:
    """All options of `command` by section, flat names first."""
    lines = [f"swift {command}: {summary}", "", f"usage: swift {command} [run.yaml] [--key value ...]", ""]
    for note in NOTES:
        lines += wrap(note, width)
    lines += ["", "--debug shows the traceback of an error."]
    for section in table.sections:
        if section.options:
            lines += ["", *_heading(section, width)]
            for option in section.options:
                lines += _entry(option, width)
    return "\n".join(lines)


def _heading(section: Section, width: int) -> Iterator[str]:
    name = section.key or "general"
    if section.tag is not None:
        name += f" (type: {section.tag})"
    yield from wrap(f"{name} -- {section.help}", width)


def _entry(option: Option, width: int) -> Iterator[str]:
    names = ", ".join(f"--{name}" for name in option.names)
    yield f"  {names}  {option.type}"
    text = option.help
    if option.rule:
        text += f" ({option.rule})"
    if option.default == REQUIRED:
        text += " [required]"
    elif option.default:
        text += f" [{option.default}]"
    indent = "      "
    if len(text) + len(indent) <= width:  # as most: what `wrap` would give, without its hundredth of a second in all
        yield indent + text
    else:
        yield from wrap(text, width, initial_indent=indent, subsequent_indent=indent)
