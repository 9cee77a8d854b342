"""Readers: round trips, and what each says about broken files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swift.data.readers import FileSource, array, format_of, open_file
from swift.data.rows import BadRow
from swift.errors import DataError
from swift.types import Row

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(TEXT, JSON, max_size=4), min_size=1, max_size=8)


def source_of(folder: Path, name: str, data: bytes) -> FileSource:
    path = folder / name
    path.write_bytes(data)
    return open_file(path, name)


def values_of(source: FileSource, start: int = 0) -> list[Any]:
    return [item.values if isinstance(item, Row) else item for item in source.rows(start)]


@FAST
@given(rows=ROWS, ascii_only=st.booleans(), end=st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"]), bom=st.booleans())
def test_jsonl_round_trip(tmp_path: Path, rows: list[Any], ascii_only: bool, end: str, bom: bool) -> None:
    text = end.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    source = source_of(tmp_path, "a.jsonl", (b"\xef\xbb\xbf" if bom else b"") + text.encode())
    assert values_of(source) == rows
    assert source.count() == len(rows)


@FAST
@given(rows=ROWS, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 3), chunk=st.integers(1, 50))
def test_json_array_round_trip_at_any_chunk(
    tmp_path: Path, rows: list[Any], ascii_only: bool, indent: int | None, chunk: int
) -> None:
    source = source_of(tmp_path, "a.json", json.dumps(rows, ensure_ascii=ascii_only, indent=indent).encode())
    whole = array._CHUNK
    array._CHUNK = chunk
    try:
        assert values_of(source) == rows
        assert len(list(source.rows(1))) == len(rows) - 1
    finally:
        array._CHUNK = whole


@FAST
@given(
    cells=st.lists(st.tuples(TEXT, TEXT).filter(lambda row: any(row)), min_size=1, max_size=6),
    format=st.sampled_from([("csv", ","), ("tsv", "\t")]),
)
def test_table_round_trip(tmp_path: Path, cells: list[tuple[str, str]], format: tuple[str, str]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=format[1], quoting=csv.QUOTE_ALL)
    writer.writerows([("one", "two"), *cells])
    source = source_of(tmp_path, f"a.{format[0]}", text.getvalue().encode())
    assert values_of(source) == [{"one": one, "two": two} for one, two in cells]
    assert source.count() == len(cells)


@FAST
@given(lines=st.lists(TEXT.filter(lambda line: line.strip() and not set(line) & {"\n", "\r"}), min_size=1, max_size=6))
def test_text_round_trip(tmp_path: Path, lines: list[str]) -> None:
    source = source_of(tmp_path, "a.txt", "\n\n".join(lines).encode())
    filled = [line for line in lines if not line.encode().isspace()]
    assert values_of(source) == [{"text": line} for line in filled]


@FAST
@given(rows=ROWS)
def test_parquet_gives_structs_back_without_padding(tmp_path: Path, rows: list[Any]) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    texts = [json.dumps(row) for row in rows]
    calls = [{"name": "f", "arguments": {"a" if place % 2 else "b": place}} for place in range(len(rows))]
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": texts, "call": calls}), path, row_group_size=2)
    source = open_file(path, "a.parquet")
    assert values_of(source) == [{"text": text, "call": call} for text, call in zip(texts, calls, strict=True)]
    assert source.count() == len(rows)
    for start in range(len(rows) + 1):
        assert values_of(source, start) == values_of(source)[start:]


def gz(data: bytes) -> bytes:
    return gzip.compress(data)


def zst(data: bytes) -> bytes:
    """Two frames, as appending makes them."""
    half = len(data) // 2
    return zstandard.compress(data[:half]) + zstandard.compress(data[half:])


@pytest.mark.parametrize(("ending", "pack"), [("gz", gz), ("zst", zst)])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "txt"])
def test_compressed_equals_plain(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], kind: str) -> None:
    rows = [{"text": f"row {number} ü"} for number in range(3000)]
    data = {
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows),
        "csv": "text\n" + "\n".join(row["text"] for row in rows),
        "txt": "\n".join(row["text"] for row in rows),
    }[kind].encode()
    source = source_of(tmp_path, f"a.{kind}.{ending}", pack(data))
    assert values_of(source) == rows
    assert source.count() == 3000
    assert values_of(source, 2998) == rows[2998:]


@pytest.mark.parametrize(("ending", "pack"), [("gz", gz), ("zst", zst)])
def test_cut_off_archive_is_an_error(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    data = pack(b'{"a": 1}\n' * 100)
    source = source_of(tmp_path, f"a.jsonl.{ending}", data[:-6])
    with pytest.raises(DataError, match=rf"a\.jsonl\.{ending} is damaged or cut off"):
        list(source.rows())


def test_integers_stay_exact(tmp_path: Path) -> None:
    big = [{"id": 2**64 + 1, "low": -(2**70), "text": "12345678901234567890123"}]
    assert values_of(source_of(tmp_path, "a.jsonl", json.dumps(big[0]).encode())) == big
    assert values_of(source_of(tmp_path, "a.json", json.dumps(big).encode())) == big


def test_row_numbers_are_line_numbers(tmp_path: Path) -> None:
    source = source_of(tmp_path, "a.jsonl", b'\n{"a": 1}\n\n\n{"a": 2}\n')
    assert [item.origin.index for item in source.rows()] == [2, 5]
    assert [item.origin.index for item in source.rows(1)] == [5]
    assert source.count() == 2


BAD_LINES = [
    (b'{"a": 1', "malformed", "column 8: unexpected end of data"),
    (b'{"a": 1}}', "malformed", "column 9: unexpected content after document"),
    (b"{'a': 1}", "malformed", "column 2: "),
    (b'{"a": NaN}', "malformed", "NaN is not JSON; write null"),
    (b'{"a": -Infinity}', "malformed", "-Infinity is not JSON; write null"),
    (b'{"a": "\\ud800"}', "malformed", "column "),
    (b'{"a": "x\xff"}', "invalid_utf8", "byte 9 (0xff) is not UTF-8"),
    (b"[1, 2]", "not_an_object", "expected an object {...}, found a list"),
    (b'"text"', "not_an_object", "expected an object {...}, found a text"),
    (b"17", "not_an_object", "expected an object {...}, found a number"),
    (b"null", "not_an_object", "expected an object {...}, found null"),
    (b"hello", "malformed", "column 1: "),
    (b"[" * 5000, "malformed", "column "),
]


@pytest.mark.parametrize(("line", "reason", "detail"), BAD_LINES)
def test_bad_line_harms_no_other(tmp_path: Path, line: bytes, reason: str, detail: str) -> None:
    source = source_of(tmp_path, "a.jsonl", b'{"n": 1}\n' + line + b'\n{"n": 3}\n')
    first, bad, last = source.rows()
    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert isinstance(bad, BadRow)
    assert (str(bad.origin), bad.reason) == ("row 2 of a.jsonl", reason)
    assert bad.detail.startswith(detail)
    assert source.count() == 3


@pytest.mark.parametrize(
    ("name", "data", "place", "reason", "detail"),
    [
        ("a.json", b'[{"a": 1}, 3, {"a": 2}]', 1, "not_an_object", "expected an object {...}, found 3"),
        ("a.json", b'[{"a": 1}, {"a": NaN}, {"a": 2}]', 1, "malformed", "NaN is not JSON; write null"),
        ("a.json", b'[{"a": 1}, {"a": "\xff"}, {"a": 2}]', 1, "invalid_utf8", "byte 0xff is not UTF-8"),
        ("a.json", b'[{"a": 1}, {"a": "\\uD800"}, {"a": 2}]', 1, "malformed", "column "),
        ("a.csv", b"a,b\n1,2\n3\n5,6\n", 1, "wrong_number_of_cells", "line 3 has 1 cells, the header has 2"),
        ("a.csv", b"a,b\n1,2\n3,4,5\n5,6\n", 1, "wrong_number_of_cells", "line 3 has 3 cells, the header has 2"),
        ("a.csv", b'a,b\n1,2\n"x"y,4\n5,6\n', 1, "malformed", "line 3: "),
        ("a.csv", b"a,b\n1,2\n\xff,4\n5,6\n", 1, "invalid_utf8", "line 3: column 'a' is not UTF-8"),
        ("a.tsv", b"a\tb\n1\t2\n3\n5\t6\n", 1, "wrong_number_of_cells", "line 3 has 1 cells, the header has 2"),
        ("a.txt", b"one\nt\xffo\nthree", 1, "invalid_utf8", "byte 2 (0xff) is not UTF-8"),
    ],
)
def test_bad_element_harms_no_other(
    tmp_path: Path, name: str, data: bytes, place: int, reason: str, detail: str
) -> None:
    source = source_of(tmp_path, name, data)
    items = list(source.rows())
    assert [isinstance(item, BadRow) for item in items] == [False, True, False]
    bad = items[place]
    assert isinstance(bad, BadRow)
    assert (bad.origin.index, bad.reason) == (2, reason)
    assert bad.origin.source == name
    assert bad.detail.startswith(detail)
    assert source.count() == 3


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "a.jsonl holds no rows"),
        ("a.jsonl", b"\n  \n", "a.jsonl holds no rows"),
        ("a.json", b"", "a.json holds no rows"),
        ("a.json", b"[]", "a.json holds no rows"),
        ("a.csv", b"", "a.csv holds no rows"),
        ("a.csv", b"a,b\n", "a.csv holds no rows"),
        ("a.txt", b"\xef\xbb\xbf", "a.txt holds no rows"),
        ("a.json", b'{"data": [{"a": 1}]}', "a.json holds one JSON object, not a list of rows"),
        ("a.json", b'{\n "a": 1\n}', "a.json holds one JSON object, not a list of rows"),
        ("a.json", b'"text"', "a.json must be a JSON array of objects; it begins with '\"'"),
        ("a.json", b'[{"a": 1},\n {"a": }]', "a.json is not valid JSON in row 2, line 2, column "),
        ("a.json", b'[{"a": 1},\n {"a": "x', "a.json is not valid JSON in row 2, line 2, column "),
        ("a.json", b'[{"a": 1}\n {"a": 2}]', "a.json is not valid JSON in row 1, line 2, column 2: expected , "),
        ("a.json", b'[{"a": 1}', "a.json is not valid JSON in row 1, line 1, column 10: expected , or ]"),
        ("a.json", b'[{"a": 1},\n' + b" " * 99 + b'{"a" 2}]', "a.json is not valid JSON in row 2, line 2, column 105"),
        ("a.json", b'[{"a": 1}] x', "a.json goes on after its array ends"),
        ("a.json", b'[{"a": 1},]', "a.json is not valid JSON in row 2, line 1, column "),
        ("a.jsonl", b'[\n{"a": 1}\n]', "a.jsonl holds a JSON array, not one object a line"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "a.jsonl is UTF-16 text; only UTF-8 is read"),
        ("a.csv", b"a,a\n1,2\n", "a.csv names the column 'a' twice"),
        ("a.parquet", b"PAR1 not really", "a.parquet is not a readable Parquet file: "),
        ("a.jsonl.gz", b"not gzip", "a.jsonl.gz is damaged or cut off: "),
        ("a.jsonl.zst", b"not zstd", "a.jsonl.zst is damaged or cut off: "),
    ],
)
def test_broken_file_is_one_clear_error(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    source = source_of(tmp_path, name, data)
    with pytest.raises(DataError) as caught:
        list(source.rows())
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message
    if message.endswith("no rows"):
        with pytest.raises(DataError, match="holds no rows"):
            source.count()


def test_unreadable_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read gone\.jsonl: No such file"):
        open_file(tmp_path / "gone.jsonl", "gone.jsonl").count()
    with pytest.raises(DataError, match=r"cannot tell the format of a\.docx by its ending '\.docx'"):
        open_file(tmp_path / "a.docx", "a.docx")
    assert format_of("A.JSONL.GZ") == "jsonl"
    assert format_of("a.ndjson") == "jsonl"
    assert format_of("a.parquet.gz") is None


def test_json_lines_in_a_json_file(tmp_path: Path) -> None:
    source = source_of(tmp_path, "a.json", b'{"a": 1}\n{"a": 2}\n')
    assert values_of(source) == [{"a": 1}, {"a": 2}]
    assert source.count() == 2
    assert values_of(source_of(tmp_path, "one.json", b'{"text": "lone row"}')) == [{"text": "lone row"}]


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = source_of(tmp_path, "a.jsonl", b'{"a": 1}')
    copy = source_of(tmp_path, "b.jsonl", b'{"a": 1}')
    other = source_of(tmp_path, "c.jsonl", b'{"a": 2}')
    assert one.fingerprint() == copy.fingerprint() != other.fingerprint()
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 22}')
    assert one.fingerprint() != copy.fingerprint()
    assert pickle.loads(pickle.dumps(one)) == one
