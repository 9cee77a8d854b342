"""The root configurations of `swift infer` and `swift eval`."""

from typing import Literal

from swift.config.benchmark import METRIC_HELP, BenchmarkConfig, EvalMetric, JudgeConfig
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.encoding import EncodingConfig
from swift.config.engine import EngineConfig, default_engine
from swift.config.generation import GenerationConfig
from swift.config.harness import HarnessConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.option import Config, option
from swift.config.scope import ScopeConfig

FROM_ADAPTER = ""
"""The id of a model that was not named: the one that the adapter was trained on. Its other options still count."""


InferMetric = Literal["accuracy", "rouge", "bleu"]


class InferConfig(Config):
    """`swift infer`: talk to a model, or answer a whole data set."""

    model: ModelConfig | None = option(None, "The model; default: what the adapter was trained on.")
    adapters: tuple[str, ...] = option(
        (), "Adapter folders or run folders, as PATH or NAME=PATH. Two or more answer side by side.", "adapters"
    )
    compare_base: bool = option(False, "Answer with the bare model too, side by side.", "compare_base")
    media: MediaConfig = option(MediaConfig, "Pictures, videos and sounds.")
    chat: ChatConfig = option(ChatConfig, "Rendering.")
    data: DataConfig = option(DataConfig, "With data.validation: answer every row of it.")
    generation: GenerationConfig = option(GenerationConfig, "Sampling.")
    encoding: EncodingConfig = option(EncodingConfig, "What the model does, and how numbers are made.")
    truncate_prompt_tokens: int | None = option(
        None,
        "For vectors, labels and scores: cut longer prompts to so many tokens, -1 to what the model takes; default: "
        "they are errors.",
        "truncate_prompt_tokens",
        ge=-1,
    )
    dimensions: int | None = option(None, "Keep so many of a vector's numbers, the first ones.", "dimensions", ge=1)
    prompt: str | None = option(None, "Answer this once and exit.", "prompt")
    images: tuple[str, ...] = option((), "Pictures that are shown with prompt: files or URLs.", "images")
    videos: tuple[str, ...] = option((), "Videos that are shown with prompt.", "videos")
    audios: tuple[str, ...] = option((), "Sounds that are played with prompt.", "audios")
    result_path: str | None = option(None, "Where the answers of a data set go, as JSONL.", "result_path")
    metric: tuple[InferMetric, ...] = option(
        (),
        "What the answers of a data set are measured by, against the rows' own: accuracy (the same text), rouge "
        "(ROUGE-1, -2 and -L), bleu.",
        "metric",
    )
    draw_dir: str | None = option(
        None, "Folder for the pictures of answers that name places in them, with the boxes drawn.", "draw_dir"
    )
    max_batch_tokens: int = option(
        8192, "Tokens of prompt and cache in one generation batch.", "max_batch_tokens", ge=1
    )
    max_batch_size: int = option(16, "Sequences in one generation batch.", "max_batch_size", ge=1)
    num_processes: int = option(
        1,
        "Processes that answer a data set side by side, each with a stretch of the rows and the whole model, on a "
        "device of its own where there are several.",
        "num_processes",
        ge=1,
        le=64,
    )
    merge_lora: bool = option(False, "Merge the adapter into the weights before answering.", "merge_lora")
    seed: int = option(42, "Seed of sampling.", "seed")
    engine: EngineConfig = option(default_engine, "What answers.", "engine", "infer_backend")
    plugins: tuple[str, ...] = option((), "Your Python files, imported first.", "plugins", "external_plugins")


class EvalConfig(Config):
    """`swift eval`: judge a model by what it says in the place of each of the assistant's turns."""

    model: ModelConfig | None = option(None, "The model; default: what the adapter was trained on.")
    adapters: tuple[str, ...] = option((), "An adapter folder or run folder.", "adapters")
    media: MediaConfig = option(MediaConfig, "Pictures, videos and sounds.")
    chat: ChatConfig = option(ChatConfig, "Rendering.")
    data: DataConfig = option(
        DataConfig,
        "The rows: data.validation, and with data.split_ratio the rows that training with the same data options sets "
        "aside; without both, data.train.",
    )
    generation: GenerationConfig = option(GenerationConfig, "Sampling.")
    eval_backend: Literal["native", "lm_eval", "evalscope"] = option(
        "native",
        "Who judges. native: swift itself, by --dataset and --metric, or its benchmarks. lm_eval: EleutherAI's "
        "harness, by its tasks. evalscope: ModelScope's evaluator, by its sets.",
        "eval_backend",
    )
    harness: HarnessConfig = option(HarnessConfig, "Tasks of lm-eval.")
    scope: ScopeConfig = option(ScopeConfig, "Sets of evalscope.")
    benchmark: BenchmarkConfig = option(BenchmarkConfig, "Named benchmarks.")
    metric: EvalMetric = option("toolbench", "How the rows of --dataset are judged. " + METRIC_HELP, "metric")
    json_schema: str | None = option(
        None, "File of the JSON Schema that answers are held against by --metric json.", "json_schema"
    )
    judge: JudgeConfig = option(JudgeConfig, "The model that judges answers.")
    compare: tuple[str, ...] = option(
        (), "Folders of two or more finished evaluations: compare them, sample by sample, and ask nothing.", "compare"
    )
    output_dir: str = option(
        "eval",
        "Folder of predictions.jsonl, summary.json and report.html; of a folder for each benchmark.",
        "output_dir",
        "eval_output_dir",
    )
    max_batch_tokens: int = option(
        8192, "Tokens of prompt and cache in one generation batch.", "max_batch_tokens", ge=1
    )
    max_batch_size: int = option(16, "Sequences in one generation batch.", "max_batch_size", ge=1)
    merge_lora: bool = option(False, "Merge the adapter into the weights before answering.", "merge_lora")
    seed: int = option(42, "Seed of sampling.", "seed")
    engine: EngineConfig = option(default_engine, "What answers.", "engine", "infer_backend")
    plugins: tuple[str, ...] = option((), "Your Python files, imported first.", "plugins", "external_plugins")
