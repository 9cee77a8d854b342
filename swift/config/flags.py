"""The command line: words to names and values. Knows no option."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from swift.config.given import Given
from swift.config.problems import Problem, ProblemsError

_FLAG = re.compile(r"--([A-Za-z][\w.\-]*)(?:=(.*))?", re.DOTALL)

SUFFIXES = (".yaml", ".yml", ".json")
"""What a configuration file's name may end with."""


def split(argv: Sequence[str]) -> tuple[str | None, list[Given]]:
    """The configuration file, if the first word is one, and every flag with the words that follow it.

    A word is a flag when it begins with two dashes and a letter; everything else, negative numbers
    included, is a value. A value that looks like a flag is written `--flag=--value`. Dashes and
    underscores in names are the same.

    Raises:
        ProblemsError: A word belongs to no flag.
    """
    words = list(argv)
    file = words.pop(0) if words and not _FLAG.fullmatch(words[0]) else None
    if file is not None and PurePath(file).suffix.lower() not in SUFFIXES:
        fix = "options begin with --, such as --dataset rows.jsonl; a configuration file ends with .yaml or .json"
        raise ProblemsError([Problem(file, "unexpected argument", fix)])
    found: list[tuple[str, str, list[str]]] = []
    for word in words:
        flag = _FLAG.fullmatch(word)
        if flag is None:
            if not found:
                fix = "at most one configuration file, before the flags"
                raise ProblemsError([Problem(word, "unexpected argument", fix)])
            found[-1][2].append(word)
            continue
        name, value = flag.group(1), flag.group(2)
        found.append((name.replace("-", "_"), f"--{name}", [] if value is None else [value]))
    return file, [Given(name, tuple(values), where, words=True) for name, where, values in found]
