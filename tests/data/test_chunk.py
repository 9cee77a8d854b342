import pytest

from swift.data.chunk import CHUNK_ROWS, NumberedRow, chunks_of, encode_chunk, failed_chunk, sequences_by_row, text_size
from tests.data.toy import ToyEncoder, ToySource


def rows(*texts):
    return [NumberedRow(0, n, row) for n, row in enumerate(ToySource(texts).rows())]


def test_chunks_end_by_rows_or_by_text():
    def sizes(texts, **limits):
        return [len(chunk) for chunk in chunks_of(rows(*texts), **limits)]

    assert sizes(["x"] * (CHUNK_ROWS + 1)) == [CHUNK_ROWS, 1]
    assert sizes(["x" * 60, "x" * 60, None, "x" * 200], max_bytes=100) == [2, 2]
    assert sizes([]) == []


@pytest.mark.parametrize(
    ("value", "size"),
    [("four", 4), (7, 8), (None, 8), ({"a": "four", "b": ["xy", "z"]}, 8 + 4 + 8 + 3)],
)
def test_text_size(value, size):
    assert text_size(value) == size


def test_nothing_that_goes_wrong_with_a_row_is_raised():
    chunk = encode_chunk(rows("fine", None, "drop", "bad", "raise", "refuse"), ToyEncoder())
    reasons = [fate.entry.reason for fate in chunk.fates]
    assert reasons == ["malformed", "too_long", "wrong_type", "exception", "refused"]
    assert (chunk.rows, chunk.numbers.tolist()) == (6, [0])
    assert chunk.fates[-1].entry.detail == "the row is too long; make it shorter"


def test_sequences_are_found_by_row():
    found = sequences_by_row(encode_chunk(rows("fine", "drop", "split this"), ToyEncoder()), ["toy.jsonl"])
    assert {key: [tokens.part for tokens in made] for key, made in found.items()} == {(0, 0): [0], (0, 2): [0, 1]}
    assert str(found[0, 2][1].origin) == "row 3 of toy.jsonl"


def test_a_failed_chunk_is_one_row_without_sequences():
    chunk = failed_chunk(rows("fine")[0], "crashed", "by a signal")
    assert (chunk.rows, chunk.ids.size, [f.entry.outcome for f in chunk.fates]) == (1, 0, ["failed"])
