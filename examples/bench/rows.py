"""Rows for a small comparison: a skill that a small model lacks, and knowledge that it should keep.

python examples/bench/rows.py FOLDER writes train.jsonl and test.jsonl (numbers in words, no number in both) and
capitals.jsonl (which of four cities is a country's capital; never trained on).
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "Austria": "Vienna",
    "Greece": "Athens",
    "Poland": "Warsaw",
    "Hungary": "Budapest",
    "Ireland": "Dublin",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Denmark": "Copenhagen",
    "Finland": "Helsinki",
    "Belgium": "Brussels",
    "Russia": "Moscow",
    "Ukraine": "Kyiv",
    "Romania": "Bucharest",
    "Bulgaria": "Sofia",
    "Serbia": "Belgrade",
    "Croatia": "Zagreb",
    "Turkey": "Ankara",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Ethiopia": "Addis Ababa",
    "Ghana": "Accra",
    "Senegal": "Dakar",
    "Algeria": "Algiers",
    "Tunisia": "Tunis",
    "Libya": "Tripoli",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Syria": "Damascus",
    "Lebanon": "Beirut",
    "Jordan": "Amman",
    "Saudi Arabia": "Riyadh",
    "India": "New Delhi",
    "Pakistan": "Islamabad",
    "Bangladesh": "Dhaka",
    "Nepal": "Kathmandu",
    "China": "Beijing",
    "Japan": "Tokyo",
    "South Korea": "Seoul",
    "Thailand": "Bangkok",
    "Vietnam": "Hanoi",
    "Indonesia": "Jakarta",
    "Malaysia": "Kuala Lumpur",
    "Philippines": "Manila",
    "Mongolia": "Ulaanbaatar",
    "Australia": "Canberra",
    "New Zealand": "Wellington",
    "Canada": "Ottawa",
    "Mexico": "Mexico City",
    "Cuba": "Havana",
    "Jamaica": "Kingston",
    "Brazil": "Brasilia",
    "Argentina": "Buenos Aires",
    "Chile": "Santiago",
    "Peru": "Lima",
    "Colombia": "Bogota",
    "Ecuador": "Quito",
    "Uruguay": "Montevideo",
    "Venezuela": "Caracas",
    "United States": "Washington, D.C.",
}


def words(number: int) -> str:
    """A number below a million, as it is said."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" and {words(rest)}" if rest else "")
    thousands, rest = divmod(number, 1000)
    joined = "" if not rest else f" and {words(rest)}" if rest < 100 else f" {words(rest)}"
    return f"{words(thousands)} thousand{joined}"


def main(folder: Path) -> None:
    """Write the three files."""
    draw = random.Random(7)
    numbers = draw.sample(range(100, 10_000), 1_000)
    said = [{"query": f"Write {number} in words.", "response": words(number)} for number in numbers]
    asked = []
    for country, capital in CAPITALS.items():
        others = draw.sample([city for city in CAPITALS.values() if city != capital], 3)
        choices = draw.sample([capital, *others], 4)
        asked.append({"query": f"What is the capital of {country}?", "response": capital, "choices": choices})
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", said[:900]), ("test", said[900:]), ("capitals", asked)):
        lines = (json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "output/bench-rows"))
