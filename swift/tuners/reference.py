"""The generated parts of docs/tuners.md: `python -m swift.tuners.reference docs/tuners.md` brings them up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift.config.option import Config
from swift.config.rules import find
from swift.config.schema import Section, table
from swift.config.sft import SftConfig
from swift.config.tuner import PROMPTS, AdapterConfig, BottleneckConfig, LayerAdapterConfig, LongLoraConfig, ReftConfig
from swift.tuners.methods import NOT_ALONE, NOT_MERGED, OWN_TYPES, known_methods

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PAPER = re.compile(r" ?\(([^()]*arXiv [\d.]+)\)")
_SHARED = frozenset(LayerAdapterConfig.model_fields)
_LIBRARIES = ("bnb", "hqq", "torchao")
_REQUIRED: dict[str, dict[str, Any]] = {
    "tokens": {"token_ids": [1]},
    "peft": {"method": "randlora"},
    "freeze": {"ratio": 0.5},
}
"""What a technique cannot do without."""


def filled(page: str) -> str:
    """The page with its generated parts as they must be now.

    Raises:
        KeyError: The page has a part that nothing generates.
    """
    parts = {"techniques": techniques, "accepted": accepted, "refused": refused}
    return _PART.sub(lambda found: f"{found[1]}{parts[found[2]]()}{found[3]}", page)


def techniques() -> str:
    """A row for every type: what it trains, its own options with defaults, and what goes with it."""
    heads = ("`--tuner_type`", "what is trained", "paper", "its options", "merges", "packs", "over bits", "files")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for section in table(SftConfig).sections:
        if section.path == ("tuner",) and section.tag is not None:
            rows.append(f"| {' | '.join(_cells(section, section.tag))} |")
    return "".join(f"{row}\n" for row in rows)


def _cells(section: Section, kind: str) -> Iterator[str]:
    cls = _class(kind)
    said = section.help.rstrip(".")
    papers = _PAPER.findall(said)
    yield f"`{kind}`"
    yield _PAPER.sub("", said)
    yield ", ".join(f"{name}[{number}](https://arxiv.org/abs/{number})" for name, number in map(_split, papers))
    yield ", ".join(_options(section, kind))
    yield _merges(cls)
    yield _packs(kind)
    yield ", ".join(name for name in _LIBRARIES if not _troubles(kind, model={"quantization": {"type": name}}))
    yield _files(cls)


def _split(paper: str) -> tuple[str, str]:
    """A name before the number, with a space, and the number."""
    name, _, number = paper.rpartition("arXiv ")
    name = name.strip().rstrip(",")
    return (f"{name}, " if name else "", number)


def _options(section: Section, kind: str) -> Iterator[str]:
    for option in section.options:
        if option.path[-1] in _SHARED or (kind == "longlora" and option.path[-1] != "group_ratio"):
            continue
        default = f" {option.default}" if option.default else ""
        yield f"`--{option.names[0]}`{default}"
    if kind == "longlora":
        yield "all of lora's"


def _class(kind: str) -> type[Config]:
    config = SftConfig.model_validate({"tuner": {"type": kind, **_REQUIRED.get(kind, {})}})
    return type(config.tuner)


def _merges(cls: type[Config]) -> str:
    if not issubclass(cls, AdapterConfig):
        return "is whole"
    return "" if issubclass(cls, (*PROMPTS, BottleneckConfig, ReftConfig)) else "yes"


def _packs(kind: str) -> str:
    if not _troubles(kind, batch={"padding_free": False}):
        return "" if _troubles(kind, batch={"packing": True}) else "yes"
    return "always"


def _troubles(kind: str, **sections: dict[str, Any]) -> set[str]:
    """What the rules say with these sections that they do not say without."""
    plain = {"tuner": {"type": kind, **_REQUIRED.get(kind, {})}}
    before, after = ({str(problem) for problem in find(SftConfig.model_validate(c))} for c in (plain, plain | sections))
    return after - before


def _files(cls: type[Config]) -> str:
    if not issubclass(cls, AdapterConfig):
        return "model"
    if issubclass(cls, BottleneckConfig | ReftConfig):
        return "adapter of `swift`"
    return "PEFT adapter, as lora's" if cls is LongLoraConfig else "PEFT adapter"


def accepted() -> str:
    """Names of PEFT's techniques that `--tuner_type peft` takes."""
    names = [name for name in known_methods() if name not in NOT_ALONE and name not in OWN_TYPES]
    told = [f"`{name}`{' (not merged)' if name in NOT_MERGED else ''}" for name in names]
    return f"{', '.join(told)}.\n"


def refused() -> str:
    """The others, and why."""
    rows = ["| method | why not |", "|---|---|"]
    for name in known_methods():
        if name in OWN_TYPES:
            rows.append(f"| `{name}` | has options of its own: `--tuner_type {OWN_TYPES[name]}` |")
        elif name in NOT_ALONE:
            rows.append(f"| `{name}` | {NOT_ALONE[name]} |")
    return "".join(f"{row}\n" for row in rows)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
