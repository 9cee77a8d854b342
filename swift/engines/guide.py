"""Answers of a given form: which tokens may come next, by the library llguidance."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swift.chat.codec import Codec
from swift.errors import MissingExtraError, RowError
from swift.types import Guide

_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""How JSON is laid out. Were white space free, a small model could fill an answer with it and never end."""


class Match:
    """Where in its guide an answer is.

    Args:
        matcher: A fresh matcher of llguidance.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self, vocabulary: int, device: torch.device) -> Tensor:
        """Which tokens may come next: bool [vocabulary]; behind the end only those that end the answer."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        known = np.unpackbits(bits, bitorder="little")[:vocabulary].astype(bool)
        mask = torch.zeros(vocabulary, dtype=torch.bool)
        mask[: len(known)] = torch.from_numpy(known)
        return mask.to(device)

    def accept(self, token: int) -> None:
        """Take the next token.

        Raises:
            RowError: The guide has become too complex to follow, as deep nesting or long patterns make it.
        """
        if not self._matcher.consume_token(token) and self._matcher.is_error():
            raise RowError("bad_guide", _first_line(self._matcher.get_error()))


class Guides:
    """Makes guides for one model.

    Args:
        codec: The model's text side.

    Raises:
        MissingExtraError: llguidance is not installed.
    """

    def __init__(self, codec: Codec) -> None:
        try:
            self._library = import_module("llguidance")
        except ModuleNotFoundError as error:
            raise MissingExtraError("llguidance", extra="guide", why="an answer of a given form") from error
        self._tokenizer = self._library.LLTokenizer(codec.tokenizer.to_str(), eos_token=sorted(codec.eos_ids))

    def start(self, guide: Guide) -> Match:
        """The beginning of an answer.

        Raises:
            RowError: The schema, expression or grammar cannot be followed.
        """
        matcher = self._library.LLMatcher(self._tokenizer, self._grammar(guide), log_level=0)
        if matcher.is_error():
            raise RowError("bad_guide", _first_line(matcher.get_error()))
        return Match(matcher)

    def _grammar(self, guide: Guide) -> str:
        make = self._library.LLMatcher
        if guide.kind == "regex":
            grammar: str = make.grammar_from_regex(guide.text)
        elif guide.kind == "grammar":
            grammar = make.grammar_from_lark(guide.text)
        else:
            try:
                schema = json.loads(guide.text)
                grammar = make.grammar_from_json_schema(guide.text, overrides=_JSON)
            except (ValueError, RecursionError) as error:
                raise RowError("bad_guide", f"not a JSON schema: {_first_line(str(error))}") from error
            if not isinstance(schema, (dict, bool)):
                raise RowError("bad_guide", f"a JSON schema is an object, not {guide.text[:40]!r}")
        return grammar


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "no reason given"
