"""The configuration of `swift app`."""

from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.option import Config, option
from swift.config.serve import ServeConfig, ServeLimits, ServerConfig


class PageConfig(Config):
    """Where the page is, who may open it, and how much they may ask for."""

    host: str = option(
        "127.0.0.1", "Address to listen on. Any but a loopback address needs --auth.", "host", "server_name"
    )
    port: int = option(7860, "Port to listen on; 0 takes a free one.", "port", "server_port", ge=0, le=65535)
    auth: tuple[str, ...] = option(
        (),
        "Who may open the page, each as NAME=PASSWORD, or files with a line NAME=PASSWORD for each.",
        "auth",
    )
    ssl_certfile: str | None = option(None, "Certificate chain (PEM), for https.", "ssl_certfile")
    ssl_keyfile: str | None = option(None, "Private key (PEM) of the certificate.", "ssl_keyfile")
    upload_megabytes: int = option(16, "Largest file that may be uploaded.", "max_upload_megabytes", ge=1)
    uploads_megabytes: int = option(
        512, "Uploaded files that are kept at a time, of all visitors together.", "max_uploads_megabytes", ge=1
    )
    running: int = option(16, "Messages that are answered at once.", "max_running", ge=1)
    waiting: int = option(64, "Messages that may wait behind them; more are refused.", "max_waiting", ge=0)
    sessions: int = option(256, "Open pages; for one more, the one that was idle longest is forgotten.", ge=1)


class RemoteConfig(Config):
    """A server that runs already, instead of one that is started for the page."""

    url: str | None = option(
        None,
        "Address of a server that speaks OpenAI's language, such as http://127.0.0.1:8000/v1; default: one is "
        "started for --model and --adapters, and ended with the page.",
        "base_url",
    )
    api_key_variable: str | None = option(None, "Environment variable that holds the server's key.", "api_key_env")
    timeout: float = option(600.0, "Seconds without any sign of the server after which it counts as dead.", gt=0)


class PageSampling(Config):
    """What the fields of the page hold at first. An empty field is not sent: the server's own value counts."""

    max_new_tokens: int | None = option(None, "Longest answer in tokens.", "max_new_tokens", ge=1)
    temperature: float | None = option(None, "0 takes the likeliest token.", "temperature", ge=0, le=2)
    top_p: float | None = option(
        None, "Sample from the likeliest tokens that make up this probability.", "top_p", gt=0, le=1
    )
    top_k: int | None = option(None, "Sample from this many likeliest tokens.", "top_k", ge=0)
    min_p: float | None = option(None, "Drop tokens less likely than this share of the likeliest.", "min_p", ge=0, le=1)
    repetition_penalty: float | None = option(None, "Above 1 discourages repeats.", "repetition_penalty", gt=0, le=10)
    seed: int | None = option(None, "The same seed gives the same answer to the same chat.", "seed")


class AppConfig(Config):
    """`swift app`: a page in the browser to talk to a model and its adapters, or to any server."""

    model: ModelConfig | None = option(None, "The model; default: what the adapter was trained on.")
    adapters: tuple[str, ...] = option(
        (), "Adapter folders or run folders, as PATH or NAME=PATH; each is a model by its name.", "adapters"
    )
    served_model_name: str | None = option(
        None, "Name of the model without adapter; default: the last part of its id.", "served_model_name"
    )
    remote: RemoteConfig = option(RemoteConfig, "A server that runs already.")
    page: PageConfig = option(PageConfig, "Where the page is, and who may open it.")
    sampling: PageSampling = option(PageSampling, "What the fields of the page hold at first.")
    media: MediaConfig = option(MediaConfig, "Pictures, videos and sounds, as the server that is started takes them.")
    chat: ChatConfig = option(
        ChatConfig, "Rendering, by the server that is started; chat.system is what the page's field holds at first."
    )
    max_batch_tokens: int = option(
        32768, "Tokens of prompt and cache in one generation batch.", "max_batch_tokens", ge=1
    )
    max_batch_size: int = option(32, "Sequences in one generation batch.", "max_batch_size", ge=1)
    merge_lora: bool = option(False, "Merge the adapter into the weights before answering.", "merge_lora")
    plugins: tuple[str, ...] = option((), "Your Python files, imported first.", "plugins", "external_plugins")


def server_of(config: AppConfig, key: str) -> ServeConfig:
    """The server that is started for a page: on a free port of the loopback address, with a key of its own.

    Args:
        config: Of the page.
        key: What the page sends.
    """
    return ServeConfig(
        model=config.model,
        adapters=config.adapters,
        served_model_name=config.served_model_name,
        server=ServerConfig(port=0, api_keys=(f"page={key}",), access_log=False, drain_seconds=0.0),
        # Base64 takes 4 bytes for 3, and a chat may hold some files.
        limits=ServeLimits(body_megabytes=max(32, 4 * config.page.upload_megabytes)),
        media=config.media,
        chat=config.chat.model_copy(update={"system": None}),
        max_batch_tokens=config.max_batch_tokens,
        max_batch_size=config.max_batch_size,
        merge_lora=config.merge_lora,
        plugins=config.plugins,
    )
