"""How families of models write names, boxes and points in text. Only data, and what the data mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from swift.errors import ConfigError
from swift.registry import Registry

DEFAULT = "plain"
"""The format of a family that is not known to have one of its own."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """What coordinates are counted in.

    Attributes:
        steps: Into how many steps the width and the height are divided; 1 for fractions with three decimals; 0 for
            pixels of the picture as the model's processor shows it to the model.
        top: The greatest number that is written.
        cells: Each step is a cell, whose middle is meant, and not a mark on a ruler.
    """

    steps: int
    top: int
    cells: bool = False

    def written(self, value: float, side: int) -> float:
        """The number to be written; not a whole one only for fractions.

        Args:
            value: From 0, the picture's left or upper edge, to 1.
            side: Width or height in pixels, as the model sees the picture.
        """
        if self.steps == 1:
            return round(value, 3)
        if self.cells:
            return min(int(value * self.steps), self.top)
        return min(round(value * (self.steps or side)), self.top)

    def read(self, number: float, side: int) -> float:
        """The inverse of `written`; kept within 0 to 1."""
        value = (number + 0.5 if self.cells else number) / (self.steps or side)
        return min(max(value, 0.0), 1.0)


PIXELS = Coordinates(0, 1 << 31)
FRACTIONS = Coordinates(1, 1)
THOUSANDTHS = Coordinates(1000, 1000)

Naming = Literal["marked", "json", "before", "after", "none"]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write.

    Attributes:
        name: What the user and the catalog call it.
        coordinates: What its numbers mean.
        box: A box, with {x1}, {y1}, {x2}, {y2}.
        point: A point, with {x1}, {y1}.
        around: What stands before and behind a box, a point, or several of them.
        reference: What stands before and behind a name.
        digits: Least number of digits; shorter numbers get zeros in front.
        tokens: Its coordinates are tokens of their own, so that they cannot be counted in anything else.
        naming: Where an answer says what is in a box. marked: in `reference`, before it; json: as "label" in the same
            JSON object; before, after: the text between it and the next box; none: it does not.
    """

    name: str
    coordinates: Coordinates
    box: str
    point: str
    around: tuple[str, str] = ("", "")
    reference: tuple[str, str] = ("", "")
    digits: int = 1
    tokens: bool = False
    naming: Naming = "none"

    def writes(self, token: str) -> bool:
        """Whether a special token's text is one that the format itself puts there."""
        if token and token in {text.strip("[]") for text in (*self.around, *self.reference)}:
            return True
        return self.tokens and token.rstrip("0123456789>") == self.point.partition("{")[0]


_LIST = "[{x1}, {y1}, {x2}, {y2}]"
_PAIR = "[{x1}, {y1}]"
_CORNERS = "({x1},{y1}),({x2},{y2})"
_CORNER = "({x1},{y1})"
_LOC_1000 = "<loc_{x1}><loc_{y1}>"
_LOC_1024 = "<loc{y1}><loc{x1}>"

formats: Registry[Format] = Registry("grounding format")
"""Every format, by name."""

for _format in (
    Format("plain", THOUSANDTHS, _LIST, _PAIR, naming="json"),
    Format("qwen_vl", THOUSANDTHS, _CORNERS, _CORNER, ("<box>", "</box>"), ("<ref>", "</ref>"), naming="marked"),
    Format(
        "qwen2_vl",
        THOUSANDTHS,
        _CORNERS,
        _CORNER,
        ("<|box_start|>", "<|box_end|>"),
        ("<|object_ref_start|>", "<|object_ref_end|>"),
        naming="marked",
    ),
    Format("qwen2_5_vl", PIXELS, _LIST, _PAIR, naming="json"),
    Format("qwen3_vl", THOUSANDTHS, _LIST, _PAIR, naming="json"),
    Format("internvl", THOUSANDTHS, _LIST, _PAIR, ("<box>[", "]</box>"), ("<ref>", "</ref>"), naming="marked"),
    Format(
        "deepseek_vl2",
        Coordinates(999, 999),
        _LIST,
        _PAIR,
        ("<|det|>[", "]<|/det|>"),
        ("<|ref|>", "<|/ref|>"),
        naming="marked",
    ),
    Format("glm4v", THOUSANDTHS, _LIST, _PAIR, ("<|begin_of_box|>", "<|end_of_box|>"), naming="json"),
    Format(
        "cogvlm",
        Coordinates(1000, 999),
        "{x1},{y1},{x2},{y2}",
        "{x1},{y1}",
        ("[[", "]]"),
        digits=3,
    ),
    Format(
        "florence",
        Coordinates(1000, 999, cells=True),
        _LOC_1000 + "<loc_{x2}><loc_{y2}>",
        _LOC_1000,
        tokens=True,
        naming="before",
    ),
    Format(
        "paligemma",
        Coordinates(1024, 1023),
        _LOC_1024 + "<loc{y2}><loc{x2}>",
        _LOC_1024,
        digits=4,
        tokens=True,
        naming="after",
    ),
):
    formats.register(_format.name)(_format)

NormBox = Literal["auto", "none", "norm1", "norm1000"]
_COUNTED: dict[str, Coordinates] = {"none": PIXELS, "norm1": FRACTIONS, "norm1000": THOUSANDTHS}


def choose(name: str, family: str = "", norm: NormBox = "auto") -> Format:
    """The format that is meant.

    Args:
        name: As the user says it: a format, or `auto` for the family's.
        family: The format of the model's family, or empty.
        norm: What coordinates are counted in, whatever the format says: `none` is pixels of the picture as the model
            sees it; `auto` leaves it to the format.

    Raises:
        UnknownNameError: There is no such format.
        ConfigError: The format's coordinates cannot be counted in anything else.
    """
    found = formats.get((family or DEFAULT) if name == "auto" else name)
    if norm == "auto":
        return found
    if found.tokens:
        raise ConfigError(
            f"--norm_bbox {norm}: the format {found.name} writes coordinates as tokens, of which there are no others",
            hint="leave it out, or choose another --grounding_format",
        )
    # Numbers with leading zeros are of a fixed scale.
    return replace(found, coordinates=_COUNTED[norm], digits=1)
