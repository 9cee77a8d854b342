import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.data.chunk import NumberedRow, encode_chunk
from swift.data.shard import open_shard, remove_shards, write_shard
from swift.data.store import TokenStore, open_shards
from swift.errors import DataError, ResourceError
from tests.data.toy import ToyEncoder, ToySource

TEXTS = st.lists(
    st.sampled_from(["drop", "bad", "raise", None])
    | st.text(max_size=12)
    | st.text(max_size=9).map("split half ".__add__),
    max_size=25,
)


def write(folder, texts, *, per_shard=4, source=0):
    rows = [NumberedRow(source, n, row) for n, row in enumerate(ToySource(tuple(texts)).rows())]
    for number, begin in enumerate(range(0, len(rows), per_shard)):
        shard = rows[begin : begin + per_shard]
        chunks = [encode_chunk(part, ToyEncoder()) for part in (shard[: per_shard // 2], shard[per_shard // 2 :])]
        write_shard(folder, number, chunks)
    return TokenStore(open_shards(folder, verify=True), ["toy.jsonl"])


@given(TEXTS)
def test_what_was_encoded_is_what_is_read(tmp_path_factory, texts):
    store = write(tmp_path_factory.mktemp("store"), texts)
    expected = []
    for row in ToySource(tuple(texts)).rows():
        chunk = [NumberedRow(0, row.origin.index - 1, row)]
        encoded = encode_chunk(chunk, ToyEncoder())
        if encoded.lengths.size:
            expected += [t for t in ToyEncoder()(row).sequences if (t.weights[1:] > 0).any()]
    assert len(store) == len(expected)
    for i, tokens in enumerate(expected):
        assert store[i].ids.tolist() == tokens.ids.tolist()
        assert store[i].weights.tolist() == tokens.weights.tolist()
        assert (store[i].origin, store[i].part) == (tokens.origin, tokens.part)
        assert store.lengths[i] == len(tokens)
        assert store.targets[i] == (tokens.weights > 0).sum()
    assert store.rows == len(texts)


def test_rows_are_found_by_source_and_number(tmp_path):
    store = write(tmp_path, ["first", "drop", "will be split in two", "the last"])
    assert [list(store.sequences_of(0, row)) for row in range(4)] == [[0], [], [1, 2], [3]]
    assert list(store.sequences_of(1, 0)) == []
    order = np.array([[0, 3], [0, 2], [0, 1], [0, 3], [0, 0]])
    assert store.sequences_in_order(order).tolist() == [3, 1, 2, 3, 0]
    assert store.sequences_in_order(order[:0]).tolist() == []


def test_every_row_that_is_not_simply_kept_has_a_fate(tmp_path):
    store = write(tmp_path, ["fine", None, "drop", "bad", "raise", "split this one", "x", "negative weights"])
    assert [(e.origin.index, e.outcome, e.reason) for e in store.fates()] == [
        (2, "failed", "malformed"),
        (3, "dropped", "too_long"),
        (4, "failed", "wrong_type"),
        (5, "failed", "exception"),
        (6, "split", "too_long"),
        (7, "dropped", "no_target"),
        (8, "failed", "bad_weight"),
    ]
    assert next(e.detail for e in store.fates() if e.origin.index == 5) == "ValueError: cannot do this"


def test_ids_above_16_bits_are_kept(tmp_path):
    class Wide(ToyEncoder):
        def __call__(self, row):
            encoded = super().__call__(row)
            encoded.sequences[0].ids[0] = 200_000
            return encoded

    row = next(ToySource(("text",)).rows())
    write_shard(tmp_path, 0, [encode_chunk([NumberedRow(0, 0, row)], Wide())])
    assert TokenStore(open_shards(tmp_path, verify=True), ["toy"])[0].ids[0] == 200_000


def test_an_empty_store(tmp_path):
    store = TokenStore(open_shards(tmp_path, verify=True), [])
    assert (len(store), store.rows, list(store.fates())) == (0, 0, [])
    with pytest.raises(IndexError, match="sequence 0 of a store of 0"):
        store[0]


@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "manifest"])
def test_a_damaged_shard_is_noticed_and_ends_what_can_be_reused(tmp_path, damage):
    write(tmp_path, ["one text"] * 12)
    data, manifest = tmp_path / "shard-00001.bin", tmp_path / "shard-00001.json"
    content = bytearray(data.read_bytes())
    content[3] ^= 1
    if damage == "flipped":
        data.write_bytes(content)
    elif damage == "short":
        data.write_bytes(content[:-1])
    elif damage == "gone":
        data.unlink()
    else:
        manifest.write_text(json.dumps({"rows": 4}))
    with pytest.raises(DataError, match=r"shard-00001.bin are damaged"):
        open_shard(tmp_path, 1, verify=True)
    assert len(open_shards(tmp_path, verify=True)) == 1
    remove_shards(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shard-00000.bin", "shard-00000.json"]


def test_a_shard_without_a_manifest_does_not_exist(tmp_path):
    write(tmp_path, ["one text"] * 8)
    (tmp_path / "shard-00001.json").unlink()
    assert open_shard(tmp_path, 1, verify=True) is None
    assert len(open_shards(tmp_path, verify=True)) == 1


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(ResourceError, match=r"cannot write tokenized rows to .*: No such file or directory"):
        write(tmp_path / "absent", ["some text"])


def test_a_token_costs_little_on_disk(tmp_path):
    write(tmp_path, ["a text of some length that is repeated. " * 20] * 50, per_shard=50)
    tokens = 50 * 40 * 20
    assert (tmp_path / "shard-00000.bin").stat().st_size < 2.2 * tokens
