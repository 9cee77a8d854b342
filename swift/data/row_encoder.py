"""The composition of the two transforms: raw row -> conversation -> sequences."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from swift.chat.codec import Codec
from swift.chat.encode import EncodedRow, encode
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.data.plugins import load_plugins
from swift.types import Row

# Options that decide which rows are read, how fast or in which order, but not what becomes of a row. Everything
# else counts, so that an option added later cannot be forgotten here.
_NOT_OF_A_ROW = frozenset(
    {
        "train",
        "validation",
        "split_ratio",
        "mix",
        "weights",
        "stopping",
        "shuffle",
        "seed",
        "streaming",
        "shuffle_buffer",
        "deduplicate",
        "on_error",
        "workers",
        "cache",
        "cache_dir",
        "hub",
    }
)


@dataclass(frozen=True)
class RowEncoder:
    """Row to sequences, in any process.

    Attributes:
        codec: Tokenizer and template.
        data: How columns are read.
        chat: How conversations are rendered and masked.
        task: Conversations, or plain text.
        plugins: The user's Python files that register data shapes; each process imports them.
    """

    codec: Codec
    data: DataConfig
    chat: ChatConfig
    task: Literal["sft", "pt"] = "sft"
    plugins: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides what becomes of a row."""
        parts = [
            self.codec.fingerprint,
            self.codec.max_length,
            self.chat.model_dump(mode="json"),
            self.data.model_dump(mode="json", exclude=set(_NOT_OF_A_ROW)),
            self.task,
            [hashlib.sha256(Path(plugin).read_bytes()).hexdigest() for plugin in self.plugins],
        ]
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def prepare(self) -> None:
        """Import the plugins."""
        load_plugins(self.plugins)

    def __call__(self, row: Row) -> EncodedRow:
        """The row's sequences.

        Raises:
            RowError: The row is dropped, or is bad.
            DataError: A rule of the configuration says that such a row stops the run.
        """
        return encode(to_sample(row, self.data, self.task), self.codec, self.chat)
