"""How near an answer is to the expected one, by its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from swift.errors import MissingExtraError

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_]+")


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation; Chinese, Japanese and Korean by character."""
    return _WORD.findall(text.lower())


def is_same(predicted: str, reference: str) -> bool:
    """Whether two texts are the same but for white space."""
    return predicted.split() == reference.split()


def rouge_n(predicted: str, reference: str, size: int) -> float:
    """ROUGE-N: F1 of the sequences of `size` words that both have (Lin 2004, with beta 1), from 0 to 1."""
    mine, theirs = _sequences(words(predicted), size), _sequences(words(reference), size)
    if not mine or not theirs:
        return float(words(predicted) == words(reference))
    return 2 * (mine & theirs).total() / (mine.total() + theirs.total())


def rouge_l(predicted: str, reference: str) -> float:
    """ROUGE-L: F1 of the longest common subsequence of words (Lin 2004, with beta 1), from 0 to 1."""
    mine, theirs = words(predicted), words(reference)
    if not mine or not theirs:
        return float(mine == theirs)
    row = [0] * (len(theirs) + 1)  # lengths of common subsequences of the words so far
    for word in mine:
        before = 0
        for place, other in enumerate(theirs, 1):
            kept = row[place]
            row[place] = before + 1 if word == other else max(row[place], row[place - 1])
            before = kept
    return 2 * row[-1] / (len(mine) + len(theirs))


def bleu(predicted: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of all answers together (Papineni 2002), by sacrebleu, from 0 to 100.

    Words are those of its 13a; where the references are Chinese, of its zh.
    """
    return float(_bleu(references).corpus_score(list(predicted), [list(references)]).score)


def bleu_counts(predicted: str, references: Sequence[str]) -> tuple[float, ...]:
    """What BLEU counts in one answer; the sums over many answers make the BLEU of all, see `bleu_of`.

    Returns:
        N-grams that are right, N-grams in all (each for 1 to 4 words), words of the answer, and of the reference.
    """
    score = _bleu(references, effective=True).sentence_score(predicted, list(references))
    return (*score.counts, *score.totals, score.sys_len, score.ref_len)


def bleu_of(sums: Sequence[float]) -> float:
    """BLEU (Papineni 2002) of summed `bleu_counts`, from 0 to 100."""
    from sacrebleu.metrics.bleu import BLEU

    whole = [round(number) for number in sums]
    return float(BLEU.compute_bleu(whole[:4], whole[4:8], whole[8], whole[9], smooth_method="exp").score)


def require_bleu() -> None:
    """Make sure that BLEU can be computed.

    Raises:
        MissingExtraError: sacrebleu is not installed.
    """
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("sacrebleu", extra="eval", why="--metric bleu") from error


def _bleu(references: Sequence[str], *, effective: bool = False) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    letters = "".join(references)
    chinese = len(re.findall(r"[\u4e00-\u9fff]", letters)) > 0.2 * len(letters)
    return BLEU(tokenize="zh" if chinese else "13a", effective_order=effective)


def _sequences(found: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(found[first:] for first in range(size)), strict=False))
