"""The root configuration of `swift sft` and `swift pt`; apart from others, so that their help comes at once."""

from typing import Literal

from swift.config.batch import BatchConfig
from swift.config.benchmark import BenchmarkConfig
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.optim import OptimizerConfig, ScheduleConfig
from swift.config.option import Config, option
from swift.config.quantization import QatConfig
from swift.config.train import CheckpointConfig, EvaluationConfig, LoggingConfig, LoopConfig
from swift.config.tuner import TunerConfig, default_tuner


class SftConfig(Config):
    """`swift sft`: supervised fine-tuning on conversations. `swift pt` is the same on plain text."""

    task: Literal["sft", "pt"] = option("sft", "Conversations with a template, or plain text.")
    model: ModelConfig = option(ModelConfig, "The model.")
    data: DataConfig = option(DataConfig, "The rows.")
    media: MediaConfig = option(MediaConfig, "Pictures, videos and sounds.")
    chat: ChatConfig = option(ChatConfig, "Rendering and masks.")
    batch: BatchConfig = option(BatchConfig, "Batches.")
    tuner: TunerConfig = option(default_tuner, "What is trained.")
    qat: QatConfig = option(QatConfig, "Quantization-aware training.")
    optimizer: OptimizerConfig = option(OptimizerConfig, "The optimizer.")
    schedule: ScheduleConfig = option(ScheduleConfig, "The learning rate.")
    loop: LoopConfig = option(LoopConfig, "Length and numerics.")
    checkpoint: CheckpointConfig = option(CheckpointConfig, "Saving and resuming.")
    evaluation: EvaluationConfig = option(EvaluationConfig, "Evaluation.")
    benchmark: BenchmarkConfig = option(BenchmarkConfig, "Named benchmarks, asked at each evaluation.")
    logging: LoggingConfig = option(LoggingConfig, "Logging.")
    adapters: tuple[str, ...] = option((), "Adapter folders to continue from.", "adapters")
    output_dir: str = option("output", "The run folder.", "output_dir")
    overwrite: bool = option(False, "Use a run folder that already holds another run.", "overwrite_output_dir")
