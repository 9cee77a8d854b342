"""A pool of tokenization processes: results in order, bounded memory, and a bad row never stops it.

The processes are started by hand rather than by `multiprocessing`: forking a process that has torch's threads
is not safe, and the other start methods import the user's main script again, with torch and with whatever it
does when imported.
"""

from __future__ import annotations

import pickle
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Pipe
from types import TracebackType

import numpy as np

from swift.data.chunk import EncodedChunk, Encoder, NumberedRow, encode_chunk, failed_chunk, text_size
from swift.data.rows import BadRow
from swift.data.worker import READY
from swift.errors import DataError

ROW_SECONDS = 60.0
"""A row that takes longer than this, alone in a process, is given up."""

_SECONDS_PER_MEGABYTE = 30.0
_START_SECONDS = 120.0


class WorkerPool:
    """Processes that encode chunks of rows. Use it in a `with` statement.

    Args:
        workers: How many processes; 0 encodes in this one, without protection from crashes and endless rows.
        encoder: Pickled once, sent to every process.
        row_seconds: Time that a chunk, and then each of its rows alone, may take, besides what its size allows.
    """

    def __init__(self, workers: int, encoder: Encoder, *, row_seconds: float = ROW_SECONDS) -> None:
        self._encoder = encoder
        self._row_seconds = row_seconds
        self._workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        if workers == 0:
            encoder.prepare()
            return
        pickled = pickle.dumps(encoder, protocol=5)
        for _ in range(workers):
            worker = _Worker(pickled)
            self._workers.append(worker)
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="swift-tokenize")

    def map(self, chunks: Iterable[Sequence[NumberedRow]], *, ahead: int | None = None) -> Generator[EncodedChunk]:
        """Encode chunks; results come in the order of the chunks.

        Args:
            chunks: Read only as far as needed.
            ahead: How many chunks may be under way or waiting; default: two for each process, and two.

        Raises:
            DataError: A process cannot be started.
        """
        if self._threads is None:
            for chunk in chunks:
                yield encode_chunk(chunk, self._encoder)
            return
        limit = 2 * len(self._workers) + 2 if ahead is None else max(ahead, 1)
        pending: deque[Future[EncodedChunk]] = deque()
        try:
            for chunk in chunks:
                pending.append(self._threads.submit(self._encode, chunk))
                if len(pending) >= limit:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """End the processes; work under way is lost."""
        if self._threads is None:
            return
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(wait=True)
        for worker in self._workers:  # a thread may have restarted its process in between
            worker.stop()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, chunk: Sequence[NumberedRow]) -> EncodedChunk:
        worker = self._idle.get()
        try:
            return worker.run(chunk, self._seconds(chunk))
        except _Lost:
            return self._one_by_one(worker, chunk)
        finally:
            self._idle.put(worker)

    def _one_by_one(self, worker: _Worker, chunk: Sequence[NumberedRow]) -> EncodedChunk:
        """Encode the rows of a chunk that took its process down, each alone, to find and name the bad one."""
        parts: list[EncodedChunk] = []
        for item in chunk:
            try:
                parts.append(worker.run([item], self._seconds([item])))
            except _Lost as lost:
                parts.append(failed_chunk(item, lost.reason, lost.detail))
        return _joined(parts)

    def _seconds(self, chunk: Sequence[NumberedRow]) -> float:
        size = sum(text_size(item.row.values) for item in chunk if not isinstance(item.row, BadRow))
        return self._row_seconds + size / 1e6 * _SECONDS_PER_MEGABYTE


class _Lost(Exception):
    """A process died or did not answer in time; it has been stopped."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Worker:
    """One process and the socket to it; started at once, and again after a loss when next used."""

    def __init__(self, pickled_encoder: bytes) -> None:
        self._encoder = pickled_encoder
        self._stopped = False
        self._start()

    def _start(self) -> None:
        self._socket, theirs = Pipe(duplex=True)
        code = f"import sys; sys.path[:] = {sys.path!r}\nfrom swift.data.worker import main; main({theirs.fileno()})"
        # The tokenizer's own threads would only get in each other's way where every core has a process already.
        command = ["/usr/bin/env", "TOKENIZERS_PARALLELISM=false", sys.executable, "-c", code]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._alive, self._ready = True, False

    def run(self, chunk: Sequence[NumberedRow], seconds: float) -> EncodedChunk:
        """Encode a chunk.

        Raises:
            _Lost: The process died, or took longer than `seconds`.
            DataError: The process cannot be started.
        """
        if not self._alive and not self._stopped:
            self._start()
        if not self._ready:
            self._greet()
        try:
            self._socket.send(chunk)
            if not self._socket.poll(seconds):
                self._end()
                raise _Lost("timeout", f"took longer than {seconds:.0f} seconds to tokenize")
            result = self._socket.recv()
        except (EOFError, OSError):
            raise _Lost("crashed", f"its tokenization process {self._end()}") from None
        assert isinstance(result, EncodedChunk)
        return result

    def stop(self) -> None:
        """End the process for good."""
        self._stopped = True
        self._end()

    def _greet(self) -> None:
        answer: object
        try:
            self._socket.send_bytes(self._encoder)
            answer = self._socket.recv() if self._socket.poll(_START_SECONDS) else "it does not answer"
        except (EOFError, OSError):
            answer = f"it {self._end()}"
        if answer != READY:
            self._end()
            raise DataError(
                f"a tokenization process could not be started: {answer}",
                hint="--dataset_num_proc 0 tokenizes in the main process",
            )
        self._ready = True

    def _end(self) -> str:
        """Kill the process and say how it had ended."""
        code = self._process.poll()
        if code is None:
            try:
                code = self._process.wait(timeout=0.2 if self._alive else 0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._socket.close()
        self._alive = False
        if code is None:
            return "was stopped"
        if code >= 0:
            return f"ended with code {code}"
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _joined(parts: Sequence[EncodedChunk]) -> EncodedChunk:
    return EncodedChunk(
        rows=sum(part.rows for part in parts),
        ids=np.concatenate([part.ids for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        sources=np.concatenate([part.sources for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        indices=np.concatenate([part.indices for part in parts]),
        parts=np.concatenate([part.parts for part in parts]),
        shown=tuple(shown for part in parts for shown in part.shown),
        fates=tuple(fate for part in parts for fate in part.fates),
    )
