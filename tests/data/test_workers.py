import subprocess
import sys

import numpy as np
import pytest

from swift.data.chunk import NumberedRow, encode_chunk
from swift.data.workers import WorkerPool
from swift.errors import DataError
from tests.data.toy import ToyEncoder, ToySource


def chunks(texts, size=4):
    rows = [NumberedRow(0, n, row) for n, row in enumerate(ToySource(tuple(texts)).rows())]
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def told(results):
    return [(fate.entry.origin.index, fate.entry.reason, fate.entry.detail) for r in results for fate in r.fates]


def test_results_come_in_order_and_equal_those_of_one_process():
    work = chunks([f"text number {n}" for n in range(40)])
    with WorkerPool(2, ToyEncoder()) as pool:
        results = list(pool.map(work))
    for chunk, result in zip(work, results, strict=True):
        expected = encode_chunk(chunk, ToyEncoder())
        for name in ("ids", "weights", "lengths", "sources", "numbers", "indices", "parts"):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))


def test_a_row_that_kills_its_process_is_named_and_the_rest_goes_on():
    with WorkerPool(1, ToyEncoder()) as pool:
        results = list(pool.map(chunks(["fine", "crash", "also fine", "good", "after it"])))
    assert told(results) == [(2, "crashed", "its tokenization process was ended by SIGSEGV")]
    assert [number for r in results for number in r.numbers.tolist()] == [0, 2, 3, 4]
    assert [r.rows for r in results] == [4, 1]


@pytest.mark.slow
def test_a_row_that_takes_too_long_is_named_and_the_rest_goes_on():
    with WorkerPool(1, ToyEncoder(), row_seconds=2.0) as pool:
        results = list(pool.map(chunks(["fine", "hang", "after it"], size=3)))
    assert told(results) == [(2, "timeout", "took longer than 2 seconds to tokenize")]
    assert [number for r in results for number in r.numbers.tolist()] == [0, 2]


def test_only_as_much_is_read_ahead_as_was_asked_for():
    read = []

    def source():
        for chunk in chunks(["some text"] * 100, size=1):
            read.append(chunk)
            yield chunk

    with WorkerPool(1, ToyEncoder()) as pool:
        results = pool.map(source(), ahead=5)
        next(results)
        assert len(read) == 5
        next(results)
        assert len(read) == 6


def test_processes_end_when_the_pool_is_left_in_the_middle():
    with WorkerPool(2, ToyEncoder(slow=0.2)) as pool:
        next(pool.map(chunks(["some text"] * 20, size=1)))
        running = [worker._process for worker in pool._workers]
    assert all(process.poll() is not None for process in running)


def test_an_encoder_that_cannot_start_is_one_clear_error():
    with (
        pytest.raises(DataError, match="could not be started: RuntimeError: no such version"),
        WorkerPool(1, ToyEncoder(version=-1)) as pool,
    ):
        list(pool.map(chunks(["some text"])))


def test_worker_processes_load_neither_torch_nor_transformers():
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import swift.data.worker, swift.data.row_encoder\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
