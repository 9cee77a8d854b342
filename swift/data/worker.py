"""What a tokenization process runs. Imports neither torch nor transformers, and not the user's main script."""

from __future__ import annotations

import signal
from multiprocessing.connection import Connection

from swift.data.chunk import encode_chunk

READY = "ready"


def main(descriptor: int) -> None:
    """Encode chunks that come through a socket until it is closed.

    The first message is the pickled encoder, answered by `READY` or by the text of an error; each further one
    is a list of rows, answered by an `EncodedChunk`.

    Args:
        descriptor: File descriptor of the socket, inherited from the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, which then closes the socket
    connection = Connection(descriptor)
    try:
        encoder = connection.recv()
        try:
            encoder.prepare()
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
            return
        connection.send(READY)
        while True:
            rows = connection.recv()
            connection.send(encode_chunk(rows, encoder))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
