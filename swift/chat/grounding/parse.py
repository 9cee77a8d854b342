"""Back from a model's text to places in the picture; whatever the text is, cut off in the middle or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from swift.chat.grounding.formats import Format
from swift.types import Spot

_NUMBER = r"(-?\d{1,9}(?:\.\d{1,9})?)\s*"
_FIELD = re.compile(r"\{(x1|y1|x2|y2)\}")
_LOOSE = re.compile(r"([\[\](),]) ?")
_LABEL = re.compile(r'"(?:label|ref|name|object)"\s*:\s*("(?:[^"\\]|\\.)*")')
_Pattern = tuple[re.Pattern[str], tuple[str, ...]]
_AXES = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class _Found:
    """A box or point in the text: where it stands, and its numbers as x1, y1 (, x2, y2)."""

    start: int
    end: int
    numbers: tuple[float, ...]


def parse(
    text: str, form: Format, size: tuple[int, int], shown: tuple[int, int] | None = None, *, cut: bool = False
) -> list[Spot]:
    """The places that a text names, in order, in pixels of the picture.

    A box whose end is missing is left out. Corners in the wrong order are put right, and what lies outside the
    picture is moved to its edge.

    Args:
        text: What the model said.
        form: The format that its family writes.
        size: Width and height of the picture as its file has it, upright.
        shown: Its size as the model sees it; counts only where the format writes pixels. None is `size`.
        cut: Whether the text ends at a length limit, so that a point at its end may be half a box.
    """
    found = list(_found(text, form, cut=cut))
    seen = shown or size
    spots = []
    for item, ref in zip(found, _refs(text, form, found), strict=True):
        shares = [form.coordinates.read(number, seen[place % 2]) for place, number in enumerate(item.numbers)]
        pixels = [share * size[place % 2] for place, share in enumerate(shares)]
        if len(pixels) == 4:
            (left, right), (upper, lower) = sorted(pixels[::2]), sorted(pixels[1::2])
            pixels = [left, upper, right, lower]
        spots.append(Spot(tuple(pixels), ref))
    return spots


def _found(text: str, form: Format, *, cut: bool) -> Iterator[_Found]:
    box, point = _pattern(form.box), _pattern(form.point)
    for start, end, closed in _regions(text, form):
        begin = start
        for match in box[0].finditer(text, start, end):
            if closed:
                yield from _points(text, begin, match.start(), point, form, cut=cut)
            elif match.end() == len(text) and form.box.endswith("}"):
                return  # its last number may go on
            yield _Found(*match.span(), _numbers(match, box[1]))
            begin = match.end()
        if closed:  # else it may be the first half of a box
            yield from _points(text, begin, end, point, form, cut=cut)


def _points(text: str, begin: int, end: int, pattern: _Pattern, form: Format, *, cut: bool) -> Iterator[_Found]:
    """The points between two boxes."""
    token = form.point.partition("{")[0]
    for match in pattern[0].finditer(text, begin, end):
        behind = text[match.end() : match.end() + 16].strip()
        # Where each coordinate is a token, more of them make a box, which may be cut off.
        half = form.tokens and (behind.startswith(token) or (cut and token.startswith(behind)))
        if not half:
            yield _Found(*match.span(), _numbers(match, pattern[1]))


def _regions(text: str, form: Format) -> Iterator[tuple[int, int, bool]]:
    """Where boxes may stand: start, end, and whether the end mark is there. Without marks: the whole text."""
    before, behind = (mark.strip("[]") or mark for mark in form.around)
    if not before:
        yield 0, len(text), True
        return
    start = text.find(before)
    while start >= 0:
        begin = start + len(before)
        start = text.find(before, begin)
        limit = start if start >= 0 else len(text)
        end = text.find(behind, begin, limit)
        yield begin, (end if end >= 0 else limit), end >= 0


def _refs(text: str, form: Format, found: list[_Found]) -> list[str | None]:
    """What each place is called."""
    if form.naming == "marked":
        names = _marked(text, form)
        return [next((name for end, name in reversed(names) if end <= item.start), None) for item in found]
    if form.naming == "json":
        return [_label(text, item) for item in found]
    if form.naming == "none":
        return [None] * len(found)
    gaps = [text[one.end : other.start] for one, other in pairwise(found)]
    if form.naming == "after":
        behind = [*gaps, text[found[-1].end :]] if found else []
        return [gap.partition(";")[0].strip() or None for gap in behind]
    refs: list[str | None] = []
    for gap in [text[: found[0].start], *gaps] if found else []:
        # Several boxes behind one name are all of that name.
        refs.append(gap.strip(" \n,;.") or (refs[-1] if refs else None))
    return refs


def _marked(text: str, form: Format) -> list[tuple[int, str]]:
    """Names in their marks, and where each ends."""
    opening, closing = (re.escape(mark) for mark in form.reference)
    pattern = f"{opening}((?:(?!{opening}).)*?){closing}"
    return [(match.end(), match[1].strip()) for match in re.finditer(pattern, text, re.DOTALL)]


def _label(text: str, item: _Found) -> str | None:
    """The label in the JSON object that the place stands in."""
    start = text.rfind("{", 0, item.start)
    if start < 0 or text.rfind("}", 0, item.start) > start:
        return None
    ends = [place for mark in "{}" if (place := text.find(mark, item.end)) >= 0]
    match = _LABEL.search(text, start, min(ends, default=len(text)))
    if match is None:
        return None
    try:
        return str(json.loads(match[1], strict=False))
    except ValueError:  # an escape that JSON does not have
        return match[1][1:-1]


@lru_cache(maxsize=64)
def _pattern(template: str) -> _Pattern:
    """What a template matches, with any white space between numbers and punctuation, and what its numbers are."""
    parts = _FIELD.split(template)
    written = [_loose(part) if place % 2 == 0 else _NUMBER for place, part in enumerate(parts)]
    return re.compile("".join(written)), tuple(parts[1::2])


def _loose(literal: str) -> str:
    pieces = _LOOSE.split(literal)
    return "".join(re.escape(piece) if place % 2 == 0 else rf"\{piece}\s*" for place, piece in enumerate(pieces))


def _numbers(match: re.Match[str], axes: tuple[str, ...]) -> tuple[float, ...]:
    values = dict(zip(axes, match.groups(), strict=True))
    return tuple(float(values[axis]) for axis in _AXES if axis in values)
