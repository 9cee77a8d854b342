"""Rows that can only be answered by looking or listening.

    python examples/senses/rows.py image rows      # scikit-learn's handwritten digits
    python examples/senses/rows.py video rows      # a ball that moves left, right, up or down
    python examples/senses/rows.py audio rows      # notes of an octave, in noise

Writes train.jsonl and test.jsonl with their files; no picture, clip or tone is in both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8_000
TEST = 300
NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
"""Semitones above C."""


def main(sense: str, target: str) -> None:
    """Write the rows of one sense."""
    folder = Path(target)
    (folder / "files").mkdir(parents=True, exist_ok=True)
    samples: Callable[[Path], Iterator[tuple[str, str, str]]] = {"image": digits, "video": balls, "audio": tones}[sense]
    rows = [_row(sense, *sample) for sample in samples(folder / "files")]
    for name, part in (("test", rows[:TEST]), ("train", rows[TEST:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{folder / name}.jsonl: {len(part)} rows")


def _row(sense: str, file: str, question: str, answer: str) -> dict[str, object]:
    said = [{"role": "user", "content": f"<{sense}>{question}"}, {"role": "assistant", "content": answer}]
    return {"messages": said, f"{sense}s": [f"files/{file}"]}


def digits(folder: Path) -> Iterator[tuple[str, str, str]]:
    """1,797 digits of 8 x 8 pixels, in a random order."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    for number in np.random.default_rng(0).permutation(len(data.images)).tolist():
        pixels = (data.images[number] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        yield f"{number}.png", "Which digit?", str(data.target[number])


def balls(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Clips of 8 frames: a ball on a noisy ground; where it begins and how fast it is says nothing of its way."""
    import av

    random = np.random.default_rng(0)
    ways = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    for number in range(1800):
        way, (dx, dy) = list(ways.items())[int(random.integers(4))]
        with av.open(str(folder / f"{number}.mp4"), "w") as file:
            stream = file.add_stream("libx264", rate=4, options={"crf": "10"})
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for frame in _clip(random, dx, dy):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode())
        yield f"{number}.mp4", "Where to?", way


def _clip(random: np.random.Generator, dx: int, dy: int) -> Iterator[NDArray[np.uint8]]:
    speed, radius = random.uniform(3.0, 5.0), random.uniform(5.0, 9.0)
    middle = random.uniform(24.0, 40.0, 2)
    colour = random.integers(0, 120, 3)
    y, x = np.mgrid[0:64, 0:64]
    for step in range(8):
        at = middle + (step - 3.5) * speed * np.array([dx, dy])
        frame = random.integers(200, 256, (64, 64, 3)).astype(np.uint8)
        frame[(x - at[0]) ** 2 + (y - at[1]) ** 2 < radius**2] = colour
        yield frame


def tones(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Notes of an octave, between 0.5 and 1 second long, in noise; how loud they are says nothing of their pitch."""
    import soundfile

    random = np.random.default_rng(0)
    for number in range(1800):
        note = int(random.integers(len(NOTES)))
        time = np.arange(int(random.uniform(0.5, 1.0) * RATE)) / RATE
        pitch = 1046.5 * 2 ** (list(NOTES.values())[note] / 12) * random.uniform(0.995, 1.005)
        wave = random.uniform(0.2, 0.5) * np.sin(2 * np.pi * pitch * time + random.uniform(0, 6.28))
        noisy = wave + random.normal(scale=0.03, size=len(time))
        soundfile.write(folder / f"{number}.wav", noisy.astype(np.float32), RATE)
        yield f"{number}.wav", "Which note?", list(NOTES)[note]


if __name__ == "__main__":
    main(*sys.argv[1:])
