"""A GGUF file as a model folder: converted once, kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swift.errors import ModelError
from swift.hub.cache import atomic_folder, cache_root
from swift.hub.located import Located, say
from swift.hub.network import one_line
from swift.models.quiet import quiet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MAGIC = b"GGUF"
_DIGITS_APART = frozenset({"smollm"})
"""Ways to split text (`tokenizer.ggml.pre`) where each digit stands apart. transformers' conversion does not read the
field, and splits as GPT-2 does, which gives other tokens for white space before digits."""
_FORMAT = "2"  # part of the cache's key: change it whenever the conversion changes


def as_folder(located: Located) -> Path:
    """The model's folder; for a GGUF file, one in the cache with its weights dequantized to bfloat16.

    The conversion is transformers' own, by way of the `gguf` library. It takes some ten seconds, once; the
    cache knows a file by its path, length and time of change.

    Raises:
        ModelError: The file is not GGUF, is cut short, or of an architecture that transformers cannot convert.
    """
    if located.kind == "folder":
        return located.path
    file = located.path.resolve()
    state = file.stat()
    key = hashlib.sha256(f"{_FORMAT}\n{file}\n{state.st_size}\n{state.st_mtime_ns}".encode()).hexdigest()[:16]
    folder = cache_root() / "gguf" / f"{file.stem}-{key}"
    if not folder.is_dir():
        _check(file)
        say(f"converting {file.name} to {folder} (once)")
        with atomic_folder(folder) as temporary:
            _convert(file, temporary)
    return folder


def _check(file: Path) -> None:
    with file.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            raise ModelError(f"{file} is not a GGUF file", hint="download it again")


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    with quiet(), _no_bar():
        try:
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
            tokenizer = AutoTokenizer.from_pretrained(**source)
        except Exception as error:  # a damaged or unknown file shows as an error of any type in there
            raise ModelError(f"{file} cannot be converted: {one_line(error)}", hint="use the model's folder") from error
        if _splitting(file) in _DIGITS_APART:
            split_digits(tokenizer.backend_tokenizer)
        # Dequantized weights are plain ones; the marks of their origin would forbid saving.
        vars(model).update(hf_quantizer=None, is_quantized=False)
        del model.config.quantization_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def split_digits(tokenizer: Tokenizer) -> None:
    """Let a byte-level tokenizer cut out each digit before it splits the rest."""
    from tokenizers import pre_tokenizers

    levels = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), levels])


def _splitting(file: Path) -> str:
    """How the file says that text is split; empty where it does not."""
    from gguf import GGUFReader

    field = GGUFReader(str(file)).fields.get("tokenizer.ggml.pre")
    return "" if field is None else bytes(field.parts[field.data[0]]).decode()


def _no_bar() -> contextlib.AbstractContextManager[object]:
    """The conversion draws a bar that has no switch; it is of use on a terminal only."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
