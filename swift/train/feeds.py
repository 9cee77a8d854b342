"""Where a run's steps and validation batches come from, by its configuration."""

from __future__ import annotations

from collections.abc import Sequence

from swift.batch import Batch
from swift.chat.codec import Codec
from swift.config.sft import SftConfig
from swift.data.feed import EvaluationBatches, MapFeed
from swift.data.order import Share
from swift.data.prepare import Rows
from swift.data.stream import stream_rows
from swift.data.stream_feed import StreamFeed


def make_feed(config: SftConfig, codec: Codec, rows: Rows, *, padding_free: bool, share: Share) -> MapFeed | StreamFeed:
    """Where the steps come from.

    Raises:
        DataError: No row is left to train on.
        ConfigError: Packing without a padding-free model.
    """
    media = None if codec.media is None else codec.media.inputs
    if config.data.streaming:
        return StreamFeed(
            lambda skip: stream_rows(config.data, skip=skip),
            rows.encoder,
            batch=config.batch,
            data=config.data,
            max_length=codec.max_length,
            max_steps=config.loop.max_steps,
            padding_free=padding_free,
            pad_id=codec.pad_id,
            media=media,
            share=share,
            workers=1 if config.data.workers is None else config.data.workers,
            ledger=rows.ledger,
        )
    return MapFeed(
        rows.store,
        rows.selection.train,
        batch=config.batch,
        data=config.data,
        max_length=codec.max_length,
        epochs=config.loop.epochs,
        max_steps=config.loop.max_steps,
        padding_free=padding_free,
        pad_id=codec.pad_id,
        media=media,
        share=share,
    )


def make_evaluation(config: SftConfig, codec: Codec, rows: Rows, *, padding_free: bool) -> Sequence[Batch] | None:
    """All validation batches, if there are validation rows."""
    if not len(rows.store.sequences_in_order(rows.selection.validation)):
        return None
    return EvaluationBatches(
        rows.store,
        rows.selection.validation,
        batch=config.batch,
        max_length=codec.max_length,
        padding_free=padding_free,
        pad_id=codec.pad_id,
        media=None if codec.media is None else codec.media.inputs,
    )
