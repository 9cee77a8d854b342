import threading
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.config.batch import BatchConfig
from swift.config.data import DataConfig
from swift.data.encode_stream import encode_stream
from swift.data.feed import Position
from swift.data.ledger import Ledger
from swift.data.order import Share
from swift.data.stream_feed import StreamFeed
from swift.errors import DataError
from tests.data.toy import ToyEncoder, ToySource

TEXTS = tuple(["drop", "split here", "bad"][n % 7] if n % 7 < 3 else "ab" * (1 + n % 9) + "!" for n in range(120))
CONFIGS = st.sampled_from(
    [
        BatchConfig(size=4, accumulation=2),
        BatchConfig(size=2),
        BatchConfig(packing=True, size=1, accumulation=2),
        BatchConfig(max_tokens=40),
    ]
)


def feed(
    config, *, texts=TEXTS, workers=0, window=16, max_steps=None, shuffle=True, ledger=None, on_error="drop", share=None
):
    source = ToySource(texts)
    return StreamFeed(
        source.rows,
        ToyEncoder(),
        batch=config,
        data=DataConfig(shuffle=shuffle, on_error=on_error),
        max_length=32,
        max_steps=max_steps,
        padding_free=True,
        pad_id=0,
        workers=workers,
        window=window,
        share=share,
        ledger=Ledger() if ledger is None else ledger,
    )


def seen(steps):
    return [([(b.input_ids.tolist(), b.origins) for b in batches], position) for batches, position in steps]


@given(CONFIGS, st.booleans())
def test_every_row_is_trained_on_once(config, shuffle):
    ledger = Ledger()
    steps = seen(feed(config, shuffle=shuffle, ledger=ledger).steps(Position()))
    found = sorted(origin.index for step, _ in steps for _, origins in step for origin in origins)
    expected = []
    for n, text in enumerate(TEXTS, 1):
        expected += [] if text in ("drop", "bad") else [n, n] if "split" in text else [n]
    assert found == expected
    assert ledger.totals().rows == len(TEXTS)
    assert steps[-1][1] == Position(0, 0, len(TEXTS))


@given(CONFIGS, st.integers(0, 200))
def test_resuming_anywhere_gives_the_remaining_batches(config, place):
    whole = seen(feed(config).steps(Position()))
    place %= len(whole)
    assert seen(feed(config).steps(whole[place][1])) == whole[place + 1 :]


def test_batches_do_not_depend_on_the_number_of_workers():
    config = BatchConfig(size=4, accumulation=2)
    assert seen(feed(config, workers=2).steps(Position())) == seen(feed(config).steps(Position()))


def test_fixed_batches_are_whole_in_every_window():
    texts = tuple("ab" * (1 + n % 9) + "!" for n in range(64))
    steps = [b for b, _ in feed(BatchConfig(size=4, accumulation=2), texts=texts, window=10).steps(Position())]
    assert [[len(batch.origins) for batch in batches] for batches in steps] == [[4, 4]] * 8


def test_the_first_step_needs_only_the_first_window():
    read = []

    def rows(skip):
        for item in ToySource(("some text",) * 5000).rows(skip):
            read.append(item)
            yield item

    one = StreamFeed(
        rows,
        ToyEncoder(),
        batch=BatchConfig(size=2, accumulation=2),
        data=DataConfig(),
        max_length=32,
        max_steps=3,
        padding_free=True,
        pad_id=0,
        workers=0,
        window=64,
        ledger=Ledger(),
    )
    assert one.total_steps == 3
    steps = one.steps(Position())
    next(steps)
    assert len(read) < 500
    steps.close()


def test_an_endless_stream_can_be_left():
    def rows(skip):
        while True:
            yield from ToySource(TEXTS).rows()

    one = StreamFeed(
        rows,
        ToyEncoder(),
        batch=BatchConfig(),
        data=DataConfig(on_error="drop"),
        max_length=32,
        max_steps=5,
        padding_free=True,
        pad_id=0,
        workers=0,
        window=16,
        ledger=Ledger(),
    )
    before = threading.active_count()
    assert len(list(islice(one.steps(Position()), 20))) == 20
    assert threading.active_count() == before


@pytest.mark.parametrize("texts", [("drop",) * 30, ()])
def test_no_row_to_train_on_is_one_clear_error(texts):
    with pytest.raises(DataError, match="none of the rows can be trained on"):
        list(feed(BatchConfig(), texts=texts).steps(Position()))


def test_a_bad_row_stops_the_run_where_it_shall():
    with pytest.raises(DataError, match=r"row 3 of toy.jsonl"):
        list(feed(BatchConfig(), on_error="error").steps(Position()))


@settings(max_examples=10)
@given(st.integers(1, 200))
def test_a_stream_is_encoded_in_order_row_by_row(ahead):
    rows = encode_stream(
        ToySource(TEXTS).rows(), ToyEncoder(), workers=0, ledger=Ledger(), ahead=ahead, on_error="drop"
    )
    counts = [len(sequences) for sequences in rows]
    assert counts == [0 if t in ("drop", "bad") else 2 if "split" in t else 1 for t in TEXTS]


@given(CONFIGS, st.integers(2, 3))
def test_processes_share_the_steps_of_one_stream(config, ranks):
    config = config.model_copy(update={"accumulation": config.accumulation or 2})
    shares = [feed(config, share=Share(rank, ranks)) for rank in range(ranks)]
    whole = feed(config.model_copy(update={"accumulation": ranks * config.accumulation}))
    assert whole.accumulation == shares[0].accumulation
    taken = [seen(share.steps(Position())) for share in shares]
    for parts, (step, position) in zip(zip(*taken, strict=True), seen(whole.steps(Position())), strict=True):
        assert all(part[1] == position for part in parts)
        assert sorted((batch for part, _ in parts for batch in part), key=repr) == sorted(step, key=repr)
