"""The configuration of `swift deploy`."""

from swift.config.chat import ChatConfig
from swift.config.encoding import EncodingConfig
from swift.config.engine import EngineConfig, default_engine
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.option import Config, option


class ServerConfig(Config):
    """Where the server listens, and who may ask."""

    host: str = option(
        "127.0.0.1", "Address to listen on. Any but a loopback address needs --api_keys.", "host", "server_name"
    )
    port: int = option(8000, "Port to listen on; 0 takes a free one.", "port", "server_port", ge=0, le=65535)
    api_keys: tuple[str, ...] = option(
        (),
        "Keys that clients must send, each as NAME=KEY, or files with a line NAME=KEY for each. Every route but "
        "/health asks for one.",
        "api_keys",
        "api_key",
    )
    admin_keys: tuple[str, ...] = option(
        (),
        "Keys that may also load and unload adapters (with --adapter_root), in the form of --api_keys. Other keys are "
        "refused there.",
        "admin_keys",
        "admin_key",
    )
    cors_origins: tuple[str, ...] = option(
        (), "Web pages of these origins may ask, such as https://app.example.org; default: none.", "cors_origins"
    )
    ssl_certfile: str | None = option(None, "Certificate chain (PEM), for https.", "ssl_certfile")
    ssl_keyfile: str | None = option(None, "Private key (PEM) of the certificate.", "ssl_keyfile")
    request_log: str | None = option(
        None, "Append each request and its answer to this JSONL file; default: nothing is kept.", "request_log"
    )
    access_log: bool = option(True, "A JSON line on standard error for each request.", "access_log")
    drain_seconds: float = option(
        30.0, "On SIGTERM, requests that run may take so long to finish.", "drain_seconds", ge=0
    )


class ServeLimits(Config):
    """What clients may ask for, and how much of it."""

    max_running: int = option(
        64, "Answers that are worked on at once; a request with n answers counts n times.", "max_running", ge=1
    )
    max_waiting: int = option(
        256, "Answers that may wait behind them; more get status 429 at once.", "max_waiting", ge=0
    )
    request_seconds: float = option(600.0, "Longest time for one request.", "request_timeout", gt=0)
    body_megabytes: int = option(32, "Largest body of a request.", "max_body_megabytes", ge=1)
    body_seconds: float = option(30.0, "The body of a request must have come within this time.", "body_timeout", gt=0)
    head_seconds: float = option(10.0, "The head of a request must have come within this time.", "head_timeout", gt=0)
    head_kilobytes: int = option(32, "Largest head of a request.", "max_head_kilobytes", ge=4)
    connections: int = option(2048, "Open connections; more are closed at once.", "max_connections", ge=1)
    prompt_tokens: int | None = option(
        None, "Longest prompt; default: what the model takes.", "max_prompt_tokens", ge=1
    )
    completion_tokens: int | None = option(
        None, "Longest answer that a request may ask for; default: what the model takes.", "max_completion_tokens", ge=1
    )
    messages: int = option(2048, "Messages in one chat.", "max_messages", ge=1)
    tools: int = option(128, "Tools offered in one chat.", "max_tools", ge=0)
    n: int = option(16, "Answers to one prompt.", "max_n", ge=1)
    prompts: int = option(64, "Prompts in one request for completions.", "max_prompts", ge=1)
    inputs: int = option(2048, "Texts in one request for vectors, labels or scores.", "max_inputs", ge=1)
    stops: int = option(16, "Stop texts, of at most 256 characters each.", "max_stops", ge=0)
    logprobs: int = option(20, "Likeliest tokens told for each place.", "max_logprobs", ge=0)
    schema_kilobytes: int = option(64, "Largest JSON schema.", "max_schema_kilobytes", ge=1)
    nesting: int = option(64, "Deepest nesting of lists and objects in a request.", "max_nesting", ge=4)
    media: int = option(16, "Pictures, videos and sounds in one request.", "max_media", ge=0)
    requests_per_minute: int | None = option(
        None, "Requests of one key (without keys: of one address) in a minute.", "requests_per_minute", ge=1
    )
    tokens_per_minute: int | None = option(
        None, "Tokens, of prompts and answers, of one key (or address) in a minute.", "tokens_per_minute", ge=1
    )
    special_tokens: bool = option(
        False,
        "Take texts of clients that hold special tokens, with which they can write turns of others. Off: such a "
        "request is refused.",
        "allow_special_tokens",
    )


class ServedSampling(Config):
    """Sampling of requests that say nothing about it."""

    max_new_tokens: int = option(2048, "Longest answer in tokens.", "max_new_tokens", ge=1)
    temperature: float = option(1.0, "0 takes the likeliest token. 1 is what OpenAI's API has.", "temperature", ge=0)
    top_p: float = option(1.0, "Sample from the likeliest tokens that make up this probability.", "top_p", gt=0, le=1)
    top_k: int = option(0, "Sample from this many likeliest tokens; 0 is all.", "top_k", ge=0)
    min_p: float = option(0.0, "Drop tokens less likely than this share of the likeliest.", "min_p", ge=0, le=1)
    repetition_penalty: float = option(1.0, "Above 1 discourages repeats.", "repetition_penalty", gt=0)
    stop: tuple[str, ...] = option((), "Texts at which an answer ends.", "stop_words")


class ServeConfig(Config):
    """`swift deploy`: an OpenAI-compatible server over a model and its adapters."""

    model: ModelConfig | None = option(None, "The model; default: what the adapter was trained on.")
    adapters: tuple[str, ...] = option(
        (), "Adapter folders or run folders, as PATH or NAME=PATH; each is a model by its name.", "adapters"
    )
    adapter_root: str | None = option(
        None,
        "LoRA adapters below this folder may be loaded and unloaded while the server runs, by who has one of "
        "--admin_keys; default: none may.",
        "adapter_root",
    )
    served_model_name: str | None = option(
        None, "Name of the model without adapter; default: the last part of its id.", "served_model_name"
    )
    server: ServerConfig = option(ServerConfig, "Where the server listens, and who may ask.")
    limits: ServeLimits = option(ServeLimits, "What clients may ask for, and how much of it.")
    media: MediaConfig = option(
        MediaConfig,
        "Pictures, videos and sounds. For a server, files come only from media.root and addresses only from "
        "media.hosts; without these, only data: URIs are taken.",
    )
    chat: ChatConfig = option(ChatConfig, "Rendering.")
    generation: ServedSampling = option(ServedSampling, "Sampling of requests that say nothing about it.")
    encoding: EncodingConfig = option(EncodingConfig, "What the model does, and how numbers are made.")
    max_batch_tokens: int = option(
        32768, "Tokens of prompt and cache in one generation batch.", "max_batch_tokens", ge=1
    )
    max_batch_size: int = option(32, "Sequences in one generation batch.", "max_batch_size", ge=1)
    merge_lora: bool = option(False, "Merge the adapter into the weights before answering.", "merge_lora")
    max_model_len: int | None = option(
        None,
        "Longest sequence, prompt and answer, in tokens; default: what the model takes.",
        "max_model_len",
        ge=2,
    )
    engine: EngineConfig = option(default_engine, "What answers.", "engine", "infer_backend")
    plugins: tuple[str, ...] = option((), "Your Python files, imported first.", "plugins", "external_plugins")
