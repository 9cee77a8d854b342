"""What a check leaves behind: files that are either whole or absent."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from swift.data.store import TokenStore
from swift.errors import ConfigError


def dump(store: TokenStore, path: Path) -> None:
    """Write every sequence as a line of JSON, in the order of rows.

    Keys: `row` (as in messages, from 1), `source`, `part`, `input_ids`, `loss_weights`.

    Raises:
        ConfigError: The file cannot be written.
    """
    with whole_file(path, "--dump") as file:
        for number in range(len(store)):
            tokens = store[number]
            line = {
                "row": tokens.origin.index,
                "source": tokens.origin.source,
                "part": tokens.part,
                "input_ids": tokens.ids.tolist(),
                "loss_weights": tokens.weights.tolist(),
            }
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


@contextlib.contextmanager
def whole_file(path: Path, flag: str) -> Iterator[BinaryIO]:
    """A file to write to that takes the name `path` when the block ends well.

    Args:
        flag: Named in the error.

    Raises:
        ConfigError: Its folder is not there, or cannot be written.
    """
    hidden = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        file = hidden.open("xb")
    except OSError as error:
        raise ConfigError(
            f"{flag} {path} cannot be written: {error.strerror}",
            hint="name a file in a folder that exists and is yours",
        ) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
