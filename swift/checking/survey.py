"""One pass over the rows that are kept: samples to show, proofs, repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from swift.chat.codec import Codec
from swift.checking.findings import Sample
from swift.checking.pieces import sample_of
from swift.checking.repeats import Sayings
from swift.checking.thumbnails import thumbnails
from swift.config.looks import CheckConfig
from swift.data.columns import to_sample
from swift.data.encode import wanted_rows
from swift.data.prepare import Rows
from swift.data.store import row_keys
from swift.types import Conversation, Row, Text

PROVED_ROWS = 1000
"""At most so many rows, evenly spread, are proved one by one; the template's own proofs come on top."""

_NUMBER = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class Survey:
    """What the pass brought together.

    Attributes:
        samples: Sequences of the first rows that are trained on.
        proved: Rows to be proved.
        sayings: Of all rows that are kept.
    """

    samples: tuple[Sample, ...]
    proved: tuple[Conversation | Text, ...]
    sayings: Sayings


def survey(rows: Rows, codec: Codec, config: CheckConfig) -> Survey:
    """Read every row that is kept once more, each source from its beginning to its end."""
    train = np.unique(row_keys(rows.selection.train[:, 0], rows.selection.train[:, 1]))
    stride = max(1, len(train) // PROVED_ROWS)
    sayings = Sayings([source.name for source in rows.selection.sources])
    samples: list[Sample] = []
    proved: list[Conversation | Text] = []
    shown = 0
    for source, number, row in kept_rows(rows):
        sample = to_sample(row, rows.encoder.data, rows.encoder.task)
        place = int(np.searchsorted(train, (source << 40) | number))
        trained = place < len(train) and int(train[place]) == (source << 40) | number
        sayings.add(source, row, sample, train=trained)
        if not trained:
            continue
        if len(proved) < PROVED_ROWS and (place % stride == 0):
            proved.append(sample)
        if shown < config.show:
            shown += 1
            numbers = rows.store.sequences_of(source, number)
            made = [sample_of(rows.store[i], len(numbers), sample, codec, config.chat) for i in numbers]
            if config.report is not None:
                made[0] = replace(made[0], pictures=thumbnails(sample, codec))
            samples += made
    return Survey(tuple(samples), tuple(proved), sayings)


def kept_rows(rows: Rows) -> Iterator[tuple[int, int, Row]]:
    """(source number, row number, row) of every row that has sequences, in order."""
    wanted = wanted_rows(rows.selection)
    for source in np.unique(wanted >> 40).tolist():
        numbers = (wanted[(wanted >> 40) == source] & _NUMBER).tolist()
        kept = iter([number for number in numbers if len(rows.store.sequences_of(source, number))])
        target = next(kept, None)
        if target is None:
            continue
        for number, row in enumerate(rows.selection.sources[source].rows(target), target):
            if number != target:
                continue
            assert isinstance(row, Row)  # it has sequences, so that it was read before
            yield source, number, row
            target = next(kept, None)
            if target is None:
                break
