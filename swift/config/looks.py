"""The configurations of the commands that look at a training run before it is started."""

from swift.config.engine import EngineConfig, default_engine
from swift.config.option import option
from swift.config.sft import SftConfig


class CheckConfig(SftConfig):
    """`swift check`: what training would see, before training; or whether another engine answers alike."""

    show: int = option(3, "Samples to print in colour.", "show", ge=0)
    dump: str | None = option(None, "Write row, input_ids and loss_weights of every row to this JSONL file.", "dump")
    report: str | None = option(None, "Write an HTML report to this file.", "report")
    engine: EngineConfig = option(
        default_engine,
        "Compare this engine with transformers on the rows, instead: what it is given, and what it answers.",
        "engine",
        "infer_backend",
    )
    compare_rows: int = option(50, "Rows that engines are compared on, the first ones.", "compare_rows", ge=1)
    compare_tolerance: float | None = option(
        None,
        "Largest difference of two tokens' logarithms that counts as rounding; default: 0.01 for engines that compute "
        "in float32, 0.1 in float16, 0.5 in bfloat16.",
        "compare_tolerance",
        ge=0,
    )
    merge_lora: bool = option(False, "Merge the adapter for the engine that is compared.", "merge_lora")
    compare_tokens: int = option(64, "Tokens of each answer that are compared.", "compare_tokens", ge=1)


class PlanConfig(SftConfig):
    """`swift plan`: memory and time of a run, before paying for it."""

    device_memory: float | None = option(None, "Memory of one device in GiB; default: measured.", "device_memory", gt=0)
