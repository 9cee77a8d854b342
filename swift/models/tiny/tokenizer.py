"""A tiny byte-level tokenizer that loses nothing, with the ChatML layout."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The ChatML layout, without a default system message."""

VOCABULARY = 384
"""Size of the tiny tokenizer and of tiny models."""

LENGTH = 1024
"""Longest sequence of the tiny tokenizer and of tiny models."""

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEXT = (
    "The user asks a question and the assistant gives a short answer. What is the capital of France? "
    "The capital of France is Paris. How many days are in a week? There are seven days in a week. "
    "system user assistant tool Hello, how are you today? I am fine, thank you. Write a list of three colours: "
    "red, green and blue. 1 2 3 4 5 6 7 8 9 10. def main(): return the sum of the numbers in the list."
)


def tiny_tokenizer(
    *,
    chat_template: str | None = CHATML,
    named: Mapping[str, str] | None = None,
    tokens: Iterable[str] = (),
    leading: str | None = None,
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `VOCABULARY` tokens that encodes any text without loss.

    Tokens 0, 1, 2 are <|endoftext|> (start and padding), <|im_start|> and <|im_end|> (end).

    Args:
        chat_template: Saved along with it.
        named: Special tokens by the attribute under which the tokenizer offers them, such as image_token;
            they come after the others, in this order.
        tokens: More special tokens, without a name.
        leading: A named token; a text that begins with several of it gets an underscore in front, as the tokenizers
            of SentencePiece put one there.
    """
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    special = {name: AddedToken(text, normalized=leading is not None) for name, text in (named or {}).items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_trained(leading),
        bos_token=_SPECIAL[0],
        pad_token=_SPECIAL[0],
        eos_token=_SPECIAL[2],
        unk_token=_SPECIAL[0] if named else None,  # processors count on one, though bytes leave nothing unknown
        extra_special_tokens=special or [_SPECIAL[1]],
        chat_template=chat_template,
        model_max_length=LENGTH if named is None else 4 * LENGTH,
        clean_up_tokenization_spaces=False,
    )
    more = [token for token in dict.fromkeys(tokens) if token not in tokenizer.get_vocab()]
    if more:
        tokenizer.add_tokens(more, special_tokens=True)
    return tokenizer


@functools.cache
def _vocabulary() -> str:
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in _SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT], trainer)
    return str(tokenizer.to_str())


def _trained(leading: str | None) -> Any:
    from tokenizers import Regex, Tokenizer, normalizers

    tokenizer = Tokenizer.from_str(_vocabulary())
    if leading is not None:
        tokenizer.normalizer = normalizers.Replace(Regex(f"^(?=({re.escape(leading)}){{2}})"), "_")
    return tokenizer
