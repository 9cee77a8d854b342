"""What `swift eval` asks besides the user's own rows, and who judges answers that no rule can."""

from typing import Literal

from swift.config.option import Config, option

EvalMetric = Literal[
    "toolbench", "exact", "choice", "f1", "rouge", "bleu", "number", "json", "calls", "vqa", "anls", "iou", "judge"
]
METRIC_HELP = (
    "toolbench: Plan.EM, Act.EM, Avg.F1, hallucination and Rouge-L of agents. exact: share of answers that are the "
    "reference, but for case, white space and punctuation around them. choice: share of turns where the right one of "
    "the row's `choices` is the likeliest. f1: words in common, as SQuAD counts them. rouge, bleu: by overlap. "
    "number: the last number is the reference's. json: answers that are JSON. calls: the same tool calls. vqa, anls: "
    "of the row's `answers`, as VQA and DocVQA count. iou: boxes. judge: a grade from 1 to 10 by --judge."
)


class BenchmarkConfig(Config):
    """Named benchmarks."""

    sets: tuple[str, ...] = option(
        (),
        "Benchmarks by name, each with optional :SUBSET,... and =FILE, such as humaneval, bfcl:simple_python,multiple "
        "or mcq=questions.csv. `swift eval --eval_dataset list` lists them.",
        "eval_dataset",
    )
    limit: int | None = option(
        None, "Ask so many rows of each set, drawn by the seed; a larger limit asks the same rows and more.",
        "eval_limit", ge=1,
    )  # fmt: skip
    shots: int | None = option(
        None, "Solved examples in front of each question; default: the benchmark's own number.", "few_shot", ge=0, le=64
    )
    samples: int = option(1, "Answers to each problem that is solved by code.", "eval_samples", ge=1, le=1000)
    pass_at: tuple[int, ...] = option(
        (1,), "pass@k: chances that one of so many answers solves the problem.", "pass_at"
    )
    choice_by: Literal["likelihood", "generate"] = option(
        "likelihood",
        "How a choice is made. likelihood: the likeliest of the choices; generate: the letter in what the model says, "
        "which every engine can.",
        "choice_by",
    )
    run_code: bool = option(
        False, "Run code that the model writes, in a process that is shut in. Never without this.", "run_code"
    )
    code_seconds: float = option(10.0, "Longest time that one program may take.", "code_seconds", gt=0, le=600)
    code_megabytes: int = option(1024, "Most memory that one program may take.", "code_megabytes", ge=64, le=65536)


class JudgeConfig(Config):
    """The model that judges answers: by a grade (`--metric judge`), or of two runs the better one (`--compare`)."""

    model: str | None = option(
        None, "A model as in --model; or what --judge_url calls it.", "judge", "judge_model", "eval_judge"
    )
    engine: Literal["transformers", "vllm", "sglang", "lmdeploy", "llamacpp", "openai"] = option(
        "transformers", "What runs it; openai is any server at --judge_url.", "judge_engine"
    )
    url: str | None = option(None, "Address of a server that has it, such as http://127.0.0.1:8000/v1.", "judge_url")
    key_variable: str | None = option(None, "Environment variable that holds the server's key.", "judge_api_key_env")
    max_new_tokens: int = option(512, "Longest judgement in tokens.", "judge_max_new_tokens", ge=1)
