"""From configuration to tokens on disk, or a stream of them, with every row accounted for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swift.chat.codec import Codec
from swift.config.sft import SftConfig
from swift.data.encode import encode_sources
from swift.data.ledger import Ledger
from swift.data.row_encoder import RowEncoder
from swift.data.select import Selection, select
from swift.data.store import TokenStore
from swift.errors import DataError
from swift.hub.cache import cache_root


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a run.

    Attributes:
        selection: Which rows, by number.
        store: Their tokens: training and validation rows; when streaming, validation rows only.
        encoder: What made tokens of them.
        ledger: What became of each.
    """

    selection: Selection
    store: TokenStore
    encoder: RowEncoder
    ledger: Ledger

    @property
    def fingerprint(self) -> str:
        """Equal for equal rows, tokenizer, template and options."""
        return self.store.fingerprint


def row_encoder(config: SftConfig, codec: Codec) -> RowEncoder:
    """What turns a row of this run into tokens."""
    return RowEncoder(codec, config.data, config.chat, config.task, config.loop.plugins)


def token_cache(config: SftConfig) -> Path | None:
    """Where tokenized rows are kept between runs; None where they are not."""
    if not config.data.cache:
        return None
    return Path(config.data.cache_dir).expanduser() if config.data.cache_dir else cache_root() / "tokens"


def encode_rows(config: SftConfig, codec: Codec, ledger: Ledger, *, progress: bool = True, reuse: bool = False) -> Rows:
    """Select and tokenize, whatever is left of the rows.

    Args:
        config: What to take.
        codec: Template and tokenizer.
        ledger: Told of every row.
        progress: Show a bar.
        reuse: Take what another process of this run has just tokenized.

    Raises:
        DataError: Bad rows, where they stop the run; or there is no row to begin with.
    """
    selection = select(config.data, ledger)
    encoder = row_encoder(config, codec)
    encoder.prepare()
    store = encode_sources(
        selection,
        encoder,
        workers=config.data.workers,
        cache_dir=token_cache(config),
        ledger=ledger,
        progress=progress,
        on_error=config.data.on_error,
        unchanged=None if codec.media is None else codec.media.unchanged,
        reuse=reuse,
    )
    return Rows(selection, store, encoder, ledger)


def prepare_rows(
    config: SftConfig, codec: Codec, ledger: Ledger, *, progress: bool = True, reuse: bool = False
) -> Rows:
    """Select and tokenize, as `encode_rows`; something to train on is left.

    Raises:
        DataError: Bad rows, where they stop the run; or no row is left to train on.
    """
    rows = encode_rows(config, codec, ledger, progress=progress, reuse=reuse)
    if not config.data.streaming and len(rows.store.sequences_in_order(rows.selection.train)) == 0:
        told = ", ".join(
            f"{count} {reason.replace('_', ' ')}"
            for by in rows.ledger.totals().reasons.values()
            for reason, count in by.items()
        )
        raise DataError(f"no row is left to train on: {told}", hint="swift check shows what happens to each row")
    return rows
