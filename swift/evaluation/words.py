"""How near a short answer is to right ones: as SQuAD, VQA, DocVQA and GSM8K count."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")
_FINAL = re.compile(r"####\s*([^\n]+)")
_DIGITS = {word: str(number) for number, word in enumerate(
    "zero one two three four five six seven eight nine ten".split())}  # fmt: skip
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_words(text: str) -> list[str]:
    """Words as SQuAD compares them (Rajpurkar 2016): lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def f1(predicted: str, references: Sequence[str]) -> float:
    """The best F1 of words in common with a reference, from 0 to 1 (SQuAD)."""
    return max((_f1(squad_words(predicted), squad_words(reference)) for reference in references), default=0.0)


def squad_exact(predicted: str, references: Sequence[str]) -> bool:
    """Whether an answer has the words of a reference (SQuAD)."""
    return any(squad_words(predicted) == squad_words(reference) for reference in references)


def _f1(mine: Sequence[str], theirs: Sequence[str]) -> float:
    if not mine or not theirs:
        return float(mine == theirs)
    common = (Counter(mine) & Counter(theirs)).total()
    return 2 * common / (len(mine) + len(theirs))


def number_in(text: str) -> Decimal | None:
    """The number that an answer comes to: behind `####` where that stands, else the last one; None without any.

    Thousands may be separated by commas. GSM8K writes its answers behind `####` (Cobbe 2021).
    """
    final = _FINAL.findall(text)
    found = _NUMBER.findall(final[-1]) if final else []
    found = found[:1] or _NUMBER.findall(text)[-1:]
    try:
        return Decimal(found[0].replace(",", "")) if found else None
    except InvalidOperation:
        return None


def same_number(predicted: str, references: Sequence[str]) -> bool:
    """Whether an answer comes to the number of a reference."""
    number = number_in(predicted)
    return number is not None and any(number == number_in(reference) for reference in references)


def letter_in(text: str, letters: Sequence[str]) -> str | None:
    """The choice that an answer names: `answer is (B)`, `Answer: B`, `B.` or `**B**` at the beginning, or the last
    letter that stands alone; None without any.

    Args:
        text: The answer.
        letters: The names of the choices.
    """
    some = "".join(map(re.escape, letters))
    said = re.findall(rf"(?i:answer(?:\s+is)?|答案(?:是|为)?)\s*[:：]?\s*[(\[*`\"'\s]*([{some}])(?![\w'])", text)
    if said:
        return str(said[-1])
    first = re.match(rf"\s*[(\[*`\"']*([{some}])(?:[)\].:,*`\"']|\s*$|\s*\n)", text)
    if first:
        return first[1]
    alone = re.findall(rf"(?<![\w'])(?:\(?)([{some}])(?:\)?)(?![\w'])", text)
    # The article "A" is no choice.
    alone = [letter for letter in alone if letter != "A" or re.search(r"\(A\)|\bA[.)]|\bA\s*$", text)]
    return str(alone[-1]) if alone else None


def anls(predicted: str, references: Sequence[str], threshold: float = 0.5) -> float:
    """Average normalised Levenshtein similarity, from 0 to 1 (Biten 2019): 0 where half of the letters are wrong."""
    best = max((_similarity(_tidy(predicted), _tidy(reference)) for reference in references), default=0.0)
    return best if best >= threshold else 0.0


def _tidy(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def _similarity(mine: str, theirs: str) -> float:
    longest = max(len(mine), len(theirs))
    return 1.0 - distance(mine, theirs) / longest if longest else 1.0


def distance(mine: str, theirs: str) -> int:
    """Levenshtein distance: letters to insert, delete or replace."""
    row = list(range(len(theirs) + 1))
    for place, letter in enumerate(mine, 1):
        diagonal, row[0] = row[0], place
        for other, theirs_letter in enumerate(theirs, 1):
            diagonal, row[other] = (
                row[other],
                min(row[other] + 1, row[other - 1] + 1, diagonal + (letter != theirs_letter)),
            )
    return row[-1]


def vqa_words(text: str) -> str:
    """An answer as VQA compares it: lower case, numbers as digits, without articles and punctuation."""
    kept = re.sub(r"(?<!\d)[.,](?!\d)|[^\w\s.,'-]", " ", text.lower())
    words = [_DIGITS.get(word, word) for word in re.sub(r"(?<=\d),(?=\d)", "", kept).split()]
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def vqa(predicted: str, references: Sequence[str]) -> float:
    """VQA accuracy, from 0 to 1 (Antol 2015): the mean, over all but one of the ten people, of min(agreeing / 3, 1).

    With fewer than three references, one that agrees is enough.
    """
    said, theirs = vqa_words(predicted), [vqa_words(reference) for reference in references]
    if len(theirs) < 3:
        return float(said in theirs)
    agree = theirs.count(said)
    without_one = [min((agree - (other == said)) / 3, 1.0) for other in theirs]
    return sum(without_one) / len(without_one)
