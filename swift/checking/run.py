"""`swift check`: from a configuration to what training would see, and whether it could go."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from swift.checking.checkup import make_checkup
from swift.checking.files import dump, whole_file
from swift.checking.page import page
from swift.checking.terminal import show
from swift.config.looks import CheckConfig
from swift.data.ledger import Ledger
from swift.data.plugins import load_plugins
from swift.data.prepare import encode_rows
from swift.data.syntax import parse
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model
from swift.planning.codec import run_codec

STREAMED_ROWS = 2000
"""Rows of each streamed data set that are checked."""


def check(config: CheckConfig) -> int:
    """Tokenize the rows as training would, prove and show them; no weights are read.

    Returns:
        0 where training could go; 2 where it could not, after a line `error:` for each reason.

    Raises:
        SwiftError: A file, model or option that cannot be used at all.
    """
    load_plugins(config.loop.plugins)
    trust = config.model.trust_remote_code
    located = locate_model(config.model, weights=False)
    tokenizer = load_tokenizer(located, trust_remote_code=trust)
    model_config = load_config(located, trust_remote_code=trust)
    codec = run_codec(config, located, tokenizer, model_config)
    if config.task == "sft":
        codec.require_template()
    rows = encode_rows(lenient(config), codec, Ledger())
    checkup = make_checkup(config, located, codec, tokenizer, rows)
    show(checkup, Console(highlight=False, soft_wrap=True))
    if config.dump is not None:
        dump(rows.store, Path(config.dump).expanduser())
    if config.report is not None:
        with whole_file(Path(config.report).expanduser(), "--report") as file:
            file.write(page(checkup).encode("utf-8", "backslashreplace"))
    for problem in checkup.problems:
        print(f"error: {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"hint: {problem.hint}", file=sys.stderr)
    return 2 if checkup.problems else 0


def lenient(config: CheckConfig) -> CheckConfig:
    """The configuration with which all rows are looked at: one that would stop the run stops nothing here.

    Of streamed data sets, which may have no end, some rows are sampled.
    """
    data = config.data.model_copy(update={"on_error": "drop"})
    if data.streaming:
        train = tuple(text if parse(text).count is not None else f"{text}#{STREAMED_ROWS}" for text in data.train)
        data = data.model_copy(update={"streaming": False, "train": train})
    chat = config.chat
    if chat.truncation == "error":
        chat = chat.model_copy(update={"truncation": "drop"})
    return config.model_copy(update={"data": data, "chat": chat})
