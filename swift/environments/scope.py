"""Runs evalscope's sets against a server; run as a file, by the interpreter of the environment `evalscope`.

`scope.py JOB`, where JOB is a JSON file:

    sets             of each: `name`, `args` (evalscope's dataset_args of it), `folder` (where evalscope's files go),
                     and, where it is asked, `total` (its questions)
    url, key, model  the server that is asked, what it wants to be shown, and what it calls the model; no `url` means
                     that only the sets are looked at: whether they are there, and how many questions they have
    at_once          requests that the server gets at a time
    limit, seed      as in evalscope; `limit` null for all
    generation       evalscope's generation_config
    run_code         sets whose answers are run may be asked
    options          further arguments of evalscope's TaskConfig

Standard output carries one JSON object a line: of each set `{"set": 0, "total": 30}` once it is read, or
`{"set": 0, "done": 3}` as questions are answered; and at the end `{"versions": {...}}` or
`{"error": "...", "hint": "..."}`. What evalscope says goes to standard error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_OUT = sys.stdout
_MODEL = "model"
"""Of folders: what is asked may be called otherwise the next time."""
_HUB_SECONDS = 5.0
_LOOK_SECONDS = 0.5


class Refused(Exception):
    """A job that cannot be done, with the way out."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


def tell(**values: Any) -> None:
    """A line for who has started this."""
    _OUT.write(json.dumps(values) + "\n")
    _OUT.flush()


def settings(job: dict[str, Any], wanted: dict[str, Any]) -> Any:
    """evalscope's configuration of one set."""
    from evalscope.config import TaskConfig
    from pydantic import ValidationError

    values = {
        **job["options"],
        "model": job.get("model", _MODEL),
        "model_id": _MODEL,
        "api_url": job.get("url") or "http://127.0.0.1",
        "api_key": job.get("key") or "none",
        "eval_type": "openai_api",
        "datasets": [wanted["name"]],
        "dataset_args": {wanted["name"]: dict(wanted["args"])},
        "generation_config": job["generation"],
        "eval_batch_size": job["at_once"],
        "limit": job["limit"],
        "seed": job["seed"],
        "work_dir": wanted["folder"],
        # Answers that are there are used again. Whose they are was looked at by who has started this; evalscope takes
        # another address or limit for another evaluation, unless scores are made anew, which costs next to nothing.
        "use_cache": wanted["folder"],
        "rerun_review": True,
    }
    try:
        return TaskConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused(
            f"--extra_eval_args {where}: {first['msg']}", "it takes fields of evalscope's TaskConfig"
        ) from None


def looked_at(job: dict[str, Any], wanted: dict[str, Any]) -> int:
    """How many questions a set has."""
    import evalscope.benchmarks  # noqa: F401  it fills the registry
    from evalscope.api.registry import BENCHMARK_REGISTRY, get_benchmark
    from evalscope.constants import Tags

    name = wanted["name"]
    known = BENCHMARK_REGISTRY.get(name)
    if known is None:
        raise Refused(
            f"evalscope has no set {name!r}", f"{nearest(name, BENCHMARK_REGISTRY.keys())}; see its documentation"
        )
    if Tags.CODING in known.tags and not job["run_code"]:
        raise Refused(f"evalscope's {name} runs code that the model writes", "add --run_code, on a machine for that")
    task = settings(job, wanted)
    require_known(name, wanted["args"], known)
    place = wanted["args"].get("local_path")
    try:
        benchmark = get_benchmark(name, task)
        if place is None:
            require_rows(name, benchmark, task)
        require_examples(name, benchmark, place)
        rows = benchmark.load_dataset()
    except Refused:
        raise
    except Exception as error:  # whatever a set's own code and rows raise
        hint = (
            f"is {place} in the form that evalscope's {name} takes?"
            if place
            else f"name rows of your own: {name}=FOLDER"
        )
        raise Refused(f"evalscope's {name}: {type(error).__name__}: {one_line(error)}", hint) from error
    count = sum(len(part) for part in rows.values())
    if not count:
        raise Refused(f"evalscope's {name} has no questions in {', '.join(rows)}", "name another subset")
    return count


def require_known(name: str, args: dict[str, Any], meta: Any) -> None:
    """Make sure that evalscope has each argument: it passes over others in silence."""
    fields = {"local_path", *(field.name for field in dataclasses.fields(meta))}
    unknown = next((key for key in args if key not in fields), None)
    if unknown is not None:
        raise Refused(f"evalscope's {name} has no argument {unknown!r}", nearest(unknown, fields, "few_shot_num"))


def nearest(name: str, names: Any, such: str = "general_mcq, general_qa or gsm8k") -> str:
    """Known names like this one, in words."""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {', '.join(close)}" if close else f"such as {such}"


def require_rows(name: str, benchmark: Any, task: Any) -> None:
    """Make sure, before evalscope tries for long, that the rows of a set are here or can be had."""
    from evalscope.utils.io_utils import safe_filename

    if Path(benchmark.dataset_id).exists():
        return
    kept = Path(task.dataset_dir) / "datasets"
    if any(kept.glob(f"{safe_filename(benchmark.dataset_id)}-*")):
        return
    from modelscope.hub.constants import DEFAULT_MODELSCOPE_DOMAIN

    domain = os.environ.get("MODELSCOPE_DOMAIN", DEFAULT_MODELSCOPE_DOMAIN)
    host = urlsplit(os.environ.get("MODELSCOPE_ENDPOINT", f"https://{domain}")).hostname or domain
    if task.dataset_hub == "huggingface":
        host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or ""
    why = ""
    try:
        socket.create_connection((host, 443), timeout=_HUB_SECONDS).close()
    except OSError as error:
        why = str(error)
    if why:
        raise Refused(
            f"the rows of evalscope's {name} come from {host}, which does not answer: {why}",
            f"name rows of your own: {name}=FOLDER",
        )


def require_examples(name: str, benchmark: Any, place: str | None) -> None:
    """Solved examples of one's own must be others than the questions: evalscope would take both from the same file."""
    if not place or not benchmark.few_shot_num or benchmark.train_split is None:
        return
    wanted = [Path(place) / f"{part}_{benchmark.train_split}" for part in benchmark.subset_list]
    if Path(place).is_file() or not all(list(path.parent.glob(f"{path.name}.*")) for path in wanted):
        files = f"SUBSET_{benchmark.train_split}.jsonl and SUBSET_{benchmark.eval_split}.jsonl"
        raise Refused(f"--few_shot: {place} has no solved examples beside the questions", f"a folder with {files}")


def one_line(error: BaseException) -> str:
    """What it says, short."""
    return " ".join(str(error).split())[:300]


@contextlib.contextmanager
def watched(number: int, folder: Path, total: int) -> Iterator[None]:
    """Tell how many questions of a set have an answer, as evalscope writes them down."""
    ended = threading.Event()

    def look() -> None:
        last = 0
        while not ended.wait(_LOOK_SECONDS):
            now = min(total, sum(path.read_bytes().count(b"\n") for path in folder.glob("predictions/*/*.jsonl")))
            if now != last:
                tell(set=number, done=now)
                last = now

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def mend(folder: Path) -> None:
    """Cut off last lines that were being written when evalscope was killed: it would write on behind them."""
    for path in folder.glob("predictions/*/*.jsonl"):
        whole = path.read_bytes()
        if not whole.endswith(b"\n"):
            path.write_bytes(whole[: whole.rfind(b"\n") + 1])


def ask(job: dict[str, Any]) -> None:
    """Do the job."""
    from evalscope.run import run_task

    for number, wanted in enumerate(job["sets"]):
        folder = Path(wanted["folder"])
        if "url" not in job:
            tell(set=number, total=looked_at(job, wanted))
            continue
        mend(folder)
        with watched(number, folder, wanted["total"]):
            found = run_task(settings(job, wanted))
        if not found.get(wanted["name"]):
            raise Refused(f"evalscope has no result of {wanted['name']}", f"see {folder / 'logs'}")
        tell(set=number, done=wanted["total"])


def versions() -> Iterator[tuple[str, str]]:
    """What did the work."""
    for name in ("evalscope", "datasets", "openai"):
        yield name, importlib.metadata.version(name)


def main(words: list[str]) -> int:
    """Run the job file; 1 where it failed, with the reason told."""
    with open(words[0], encoding="utf-8") as file:
        job = json.load(file)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # whatever libraries print: ours are the lines of `tell`
            ask(job)
    except Refused as error:
        tell(error=str(error), hint=error.hint)
        return 1
    except Exception as error:  # whatever it is, who has started this is to be told in a line
        tell(error=f"{type(error).__name__}: {one_line(error)}", hint="")
        raise
    tell(versions=dict(versions()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
