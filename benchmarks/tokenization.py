"""Rows per second from a JSONL file to token ids and loss masks on disk, ours beside `datasets.map`.

    python -m benchmarks.tokenization --model FOLDER [--rows N] [--processes 2] [--rounds 3] [--data FILE]
    python -m benchmarks.tokenization --model FOLDER --gigabytes 2     memory over time on a large file

Both read the same file and end with ids and masks on disk. The rival tokenizes with `apply_chat_template` and
`return_assistant_tokens_mask`, through the model's template with generation marks put around the answers, which is
how trainers derive assistant-only masks. Each run is a process of its own; runs of the systems alternate. Its ids
and masks are compared with ours, so that both do the same work.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.recipe import made_up_examples

System = Literal["swift", "datasets"]
SYSTEMS: tuple[System, ...] = ("swift", "datasets")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
)
MAX_LENGTH = 8192
GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class Timing:
    """One run.

    Attributes:
        seconds: From the file to tokens on disk, without imports.
        map_seconds: The same without reading the file into Arrow (datasets), else equal.
        cpu: Processor seconds of the process and its children, imports left out.
        digest: Of all ids and masks, in order.
    """

    rows: int
    tokens: int
    seconds: float
    map_seconds: float
    cpu: float
    digest: str


def run_swift(model: Path, file: Path, processes: int | None, folder: Path) -> Timing:
    """Our own path: select, encode, store."""
    from transformers import AutoTokenizer

    from swift.chat.codec import make_codec
    from swift.config.chat import ChatConfig
    from swift.config.data import DataConfig
    from swift.data.encode import RowEncoder, encode_sources
    from swift.data.ledger import Ledger
    from swift.data.select import select

    data, chat = DataConfig(train=(str(file),)), ChatConfig(max_length=MAX_LENGTH)
    codec = make_codec(AutoTokenizer.from_pretrained(str(model)), chat)
    began, cpu = time.perf_counter(), _cpu()
    encoder = RowEncoder(codec, data, chat)
    store = encode_sources(
        select(data), encoder, workers=processes, cache_dir=folder, ledger=Ledger(), progress=False, on_error="drop"
    )
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu
    pairs = ((tokens.ids.tolist(), (tokens.weights > 0).astype(int).tolist()) for tokens in store)
    digest = _digest(pairs) if len(store) < 200_000 else ""
    return Timing(store.rows, int(store.lengths.sum()), seconds, seconds, cpu, digest)


def run_datasets(model: Path, file: Path, processes: int | None, folder: Path) -> Timing:
    """`load_dataset` and `map` with the tokenizer's own chat rendering."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model))

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        made = tokenizer.apply_chat_template(
            row["messages"], chat_template=CHATML, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        return {"input_ids": made["input_ids"], "mask": made["assistant_masks"]}

    began, cpu = time.perf_counter(), _cpu()
    rows = load_dataset("json", data_files=str(file), split="train", cache_dir=str(folder))
    read = time.perf_counter()
    encoded = rows.map(encode, num_proc=processes, remove_columns=rows.column_names, load_from_cache_file=False)
    ended, cpu = time.perf_counter(), _cpu() - cpu
    tokens = sum(len(row["input_ids"]) for row in encoded)
    # What follows the last answer is rendered by this template, and not kept by ours: nothing is trained on there.
    digest = _digest((row["input_ids"], row["mask"]) for row in encoded)
    return Timing(len(encoded), tokens, ended - began, ended - read, cpu, digest)


def write_rows(file: Path, *, rows: int | None = None, size: int | None = None) -> None:
    """A JSONL file of made-up chats, of so many rows or about so many bytes."""
    lines = [json.dumps({"messages": example.messages()}) + "\n" for example in made_up_examples(20_000)]
    written = count = 0
    with open(file, "w", encoding="utf-8") as out:
        while (rows is None or count < rows) and (size is None or written < size):
            line = lines[count % len(lines)]
            out.write(line)
            written += len(line)
            count += 1


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Alternate the systems and print rows per second and ratios."""
    file = arguments.data or folder / "rows.jsonl"
    if arguments.data is None:
        write_rows(file, rows=arguments.rows)
    timings: dict[System, list[Timing]] = {system: [] for system in SYSTEMS}
    for number in range(arguments.rounds):
        for system in SYSTEMS if number % 2 == 0 else reversed(SYSTEMS):
            timing = _child(system, arguments, file, folder / f"{system}-{number}")
            timings[system].append(timing)
            print(
                f"round {number + 1}: {system:8s} {timing.rows / timing.seconds:7.0f} rows/s, "
                f"{timing.rows / timing.map_seconds:7.0f} without reading, {timing.rows / timing.cpu:7.0f} rows per "
                f"processor second, {timing.tokens} tokens",
                flush=True,
            )
    same = timings["swift"][0].digest == timings["datasets"][0].digest
    print(f"same ids and masks: {'yes' if same else 'NO'}")
    for name in ("seconds", "map_seconds", "cpu"):
        middle = {s: median(t.rows / getattr(t, name) for t in found) for s, found in timings.items()}
        print(
            f"{name:12s} swift {middle['swift']:.0f} rows/s, datasets.map {middle['datasets']:.0f} rows/s, "
            f"ratio {middle['swift'] / middle['datasets']:.2f}"
        )


def watch(arguments: argparse.Namespace, folder: Path) -> None:
    """Encode a large file and print the memory of all processes over time."""
    file = folder / "large.jsonl"
    write_rows(file, size=int(arguments.gigabytes * GIGABYTE))
    process = _start("swift", arguments, file, folder / "tokens")
    began, last, peaks = time.perf_counter(), 0.0, [0, 0]
    while process.poll() is None:
        found = _memory(process.pid)
        peaks = [max(old, new) for old, new in zip(peaks, found, strict=True)]
        elapsed = time.perf_counter() - began
        if elapsed - last >= arguments.interval:
            last = elapsed
            print(f"{elapsed:7.0f} s   main {found[0] / 1e6:6.0f} MB   all {found[1] / 1e6:6.0f} MB", flush=True)
        time.sleep(0.2)
    timing = _finish(process)
    stored = sum(path.stat().st_size for path in (folder / "tokens").rglob("*") if path.is_file())
    print(
        f"peak: main {peaks[0] / 1e6:.0f} MB, all processes {peaks[1] / 1e6:.0f} MB; {timing.rows} rows of "
        f"{file.stat().st_size / 1e9:.2f} GB in {timing.seconds:.0f} s: {timing.rows / timing.seconds:.0f} rows/s; "
        f"{timing.tokens} tokens in {stored / 1e9:.2f} GB"
    )


def _start(system: System, arguments: argparse.Namespace, file: Path, folder: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.tokenization",
        "--run",
        system,
        "--model",
        str(arguments.model),
        "--data",
        str(file),
        "--processes",
        str(arguments.processes),
        "--folder",
        str(folder),
    ]
    folder.mkdir()
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _finish(process: subprocess.Popen[str]) -> Timing:
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run failed with code {process.returncode}; repeat it with --run to see why")
    return Timing(**json.loads(out.splitlines()[-1]))


def _child(system: System, arguments: argparse.Namespace, file: Path, folder: Path) -> Timing:
    return _finish(_start(system, arguments, file, folder))


def _cpu() -> float:
    """Processor seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _digest(pairs: Iterator[tuple[Sequence[int], Sequence[int]]]) -> str:
    digest = hashlib.sha256()
    for ids, mask in pairs:
        last = len(mask) - list(reversed(mask)).index(1)
        digest.update(json.dumps([list(ids[:last]), [int(m) for m in mask[:last]]]).encode())
    return digest.hexdigest()


def _memory(pid: int) -> list[int]:
    """Resident bytes of a process, and of it with its children. Linux only."""
    children = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(child) for child in task.read_text().split()]
    sizes = []
    for one in children:
        try:
            sizes.append(int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [sizes[0] if sizes else 0, sum(sizes)]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder with a ChatML tokenizer")
    parser.add_argument("--data", type=Path, help="JSONL file with messages; default: made-up rows")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, help="watch memory on a file of this size instead")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between lines of the memory report")
    parser.add_argument("--run", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run is not None:
        run = run_swift if arguments.run == "swift" else run_datasets
        timing = run(arguments.model, arguments.data, arguments.processes, arguments.folder)
        print(json.dumps({name: getattr(timing, name) for name in Timing.__slots__}))
        return
    with tempfile.TemporaryDirectory(prefix="swift-benchmark-") as folder:
        (watch if arguments.gigabytes else compare)(arguments, Path(folder))


if __name__ == "__main__":
    main()
