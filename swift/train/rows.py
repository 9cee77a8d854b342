"""The rows of a run, tokenized once on each machine however many processes train there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from swift.chat.codec import Codec
from swift.config.sft import SftConfig
from swift.data.ledger import Ledger
from swift.data.prepare import Rows, prepare_rows
from swift.train.parallel.processes import Parallel


def shared_rows(config: SftConfig, codec: Codec, ledger: Ledger, parallel: Parallel) -> Rows:
    """Select and tokenize: the first process of a machine does it, the others read what it wrote.

    Raises:
        DataError: Bad rows, where they stop the run; or no row is left to train on.
    """
    if parallel.size == 1:
        return prepare_rows(config, codec, ledger)
    with _between_processes(config, parallel) as shared:
        with parallel.local_main_first("tokenizing"):
            rows = prepare_rows(shared, codec, ledger, progress=parallel.main, reuse=not parallel.place.local_main)
        # From here on every process has the files open, and a temporary folder may go.
        parallel.barrier()
    return rows


@contextmanager
def _between_processes(config: SftConfig, parallel: Parallel) -> Iterator[SftConfig]:
    """The same configuration with a cache, if only while the block runs."""
    if config.data.cache:
        yield config
        return
    if parallel.place.local_main:
        with tempfile.TemporaryDirectory(prefix="swift-tokens-") as folder:
            parallel.from_local_main("token-folder", folder)
            yield _cached(config, folder)
        return
    yield _cached(config, parallel.from_local_main("token-folder", ""))


def _cached(config: SftConfig, folder: str) -> SftConfig:
    return config.model_copy(update={"data": config.data.model_copy(update={"cache": True, "cache_dir": folder})})
