"""Every knob of the service, typed and frozen; read from the environment here alone.

`docs/settings.md` is generated from these descriptions (`python -m api settings`) and a test compares the two.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from api.settings.folders import DataFolders
from api.settings.values import (
    AnyCase,
    Databases,
    FileBounds,
    HostNames,
    Key,
    Networks,
    Origins,
    Reranker,
    RootPath,
    TextTemplate,
    Trackers,
)


class Settings(DataFolders):
    """Read from `LLM_FASTAPI_...` in the environment or `.env`; what is empty is as not set."""

    model_config = SettingsConfigDict(
        env_prefix="LLM_FASTAPI_",
        env_file=".env",
        env_ignore_empty=True,
        enable_decoding=False,  # lists are read by `Listed`
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(3000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_key: Key | None = Field(
        None,
        description="The first admin's bearer key, of ASCII characters. With it every call but `/healthz` and the "
        "Swagger page must carry a key: it, or one of `/keys`. Needed beyond loopback.",
    )
    allow_open: bool = Field(False, description="Allow listening beyond loopback without a key.")
    allowed_hosts: HostNames = Field(
        (),
        description="Names under which callers reach the service, beside loopback names and `host`; "
        "with commas between them, or as a JSON list.",
    )
    allowed_origins: Origins = Field(
        (),
        description="Origins of browser pages elsewhere that may call (CORS), such as "
        "`https://app.example.org`; a list too.",
    )
    trusted_proxies: Networks = Field(
        ("127.0.0.1/32", "::1/128"),
        description="Addresses or networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Prefix` "
        "are believed; a list too.",
    )
    root_path: RootPath = Field(
        "",
        description="Path under which a proxy serves the service, such as `/llm`; the proxy takes it "
        "off, or says it in `X-Forwarded-Prefix`.",
    )
    log_format: Annotated[Literal["text", "json"], AnyCase] = Field(
        "text", description="How log lines are written: for people, or one JSON object a line."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        "info", description="Least level that is logged."
    )
    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector for traces (gRPC), such as `http://127.0.0.1:4317`.",
    )
    trace_content: bool = Field(
        False, description="Traces tell prompts, passages and answers, too."
    )

    bind: str | None = Field(
        None,
        description="Address a container's port is published on; `docker-compose.yml` passes it on. "
        "Beyond loopback a key is needed, whatever `allow_open` says.",
    )

    runtime: Literal["llama_cpp", "ollama"] = Field(
        "llama_cpp", description="What runs the models: llama.cpp in child processes, or Ollama."
    )
    ollama_url: str = Field(
        "http://127.0.0.1:11434", description="The Ollama server, for `runtime` `ollama`."
    )
    default_model: str = Field(
        "",
        description="Model that is asked where a request names none; when empty, each must name one.",
    )
    default_base_model: str = Field(
        "demo",
        description="Base of `createModel` when none is named. Also the model that rewrites queries of vector stores, "
        "and, when `default_model` is empty, the model of `/mcp`.",
    )
    default_trainable_model: str = Field(
        "demo", description="Base of `fine_tune_model` when none is named."
    )
    embedding_model: str = Field(
        "all-minilm-l6-v2-int8", description="Model that turns text into vectors."
    )
    embedding_query_template: TextTemplate | None = Field(
        None,
        description="What the embedding model wants around a question, such as `query: {text}`; `{text}` for nothing. "
        "As its family is known to want it when empty. [Embedders](embedders.md) has the table.",
    )
    embedding_passage_template: TextTemplate | None = Field(
        None, description="The same for what is searched, such as `passage: {text}`."
    )
    embedding_length: int | None = Field(
        None,
        ge=32,
        description="Tokens that the embedding model reads well, which no chunk exceeds; as its family is known to "
        "read when empty.",
    )
    context_length: int = Field(
        4096,
        ge=256,
        description="Context in tokens a model is loaded with, never more than it was trained for.",
    )
    parallel_requests: int = Field(
        4, ge=1, le=1024, description="Requests one loaded model answers at once."
    )
    waiting_requests: int = Field(
        256,
        ge=0,
        description="Requests that may wait for one model beyond those; one more is refused with 429. "
        "The keys that wait take turns.",
    )
    loaded_models: int = Field(
        3, ge=1, description="Models kept loaded; the least recently used one is stopped."
    )
    idle_unload_seconds: float = Field(
        600, gt=0, description="Idle time after which a loaded model is stopped."
    )
    model_start_seconds: float = Field(120, gt=0, description="Time a model may take to load.")
    threads: int | None = Field(
        None, ge=1, description="CPU threads of a model; all but one core when empty."
    )
    gpu_layers: int = Field(-1, ge=-1, description="Layers put on the GPU; -1 means all that fit.")

    model_servers_dir: Path | None = Field(
        None,
        description="Folder of the operator's own Python classes that back ends may serve; none when empty. Who can "
        "write there can run code. [Back ends](back-ends.md) says how one looks.",
    )

    ca_file: Path | None = Field(
        None,
        description="Certificates of CAs of your own, in PEM: back ends are believed whose certificates these have "
        "signed, beside those of the public CAs. Read at the start.",
    )

    chroma_url: str | None = Field(
        None, description="A ChromaDB server; the embedded one when empty."
    )
    chroma_token: SecretStr | None = Field(None, description="Token for the ChromaDB server.")
    chroma_token_header: Literal["Authorization", "X-Chroma-Token"] = Field(
        "Authorization", description="Header that carries the token."
    )
    chroma_ca_file: Path | None = Field(
        None, description="Certificates that a ChromaDB server with TLS is checked against."
    )

    max_upload_bytes: int = Field(
        256 * 2**20, ge=1, description="Largest file that can be uploaded, in bytes."
    )
    max_body_bytes: int = Field(
        4 * 2**20, ge=1, description="Largest request body that is not a file, in bytes."
    )
    max_pages: int = Field(5000, ge=1, description="Most pages a document may have.")
    max_document_characters: int = Field(
        20_000_000, ge=1, description="Most characters a document may have."
    )
    extract_seconds: float = Field(
        60, gt=0, description="Wall time the parser of one document may take."
    )
    extract_memory_bytes: int = Field(
        512 * 2**20, description="Address space the parser of one document may take."
    )
    ocr: Literal["auto", "off"] = Field(
        "auto",
        description="`auto` reads the text off pages that are pictures where Tesseract is installed: Debian's "
        "`tesseract-ocr`, or `pip install 'llm-fastapi[ocr]'`.",
    )
    ocr_languages: str = Field(
        "eng+deu",
        pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$",
        description="The languages to recognise, as Tesseract names them.",
    )
    ocr_seconds: float = Field(
        600, gt=0, description="Wall time the recognition of one document may take."
    )
    heads_in_rows: bool = Field(
        False,
        description="Rows of a PDF's tables of numbers by year are kept with the heads of their columns: "
        "`Net sales; 2023: 14,694; 2022: 14,544`.",
    )
    chunk_tokens: int = Field(
        240, ge=16, description="Longest chunk, in tokens of the embedding model."
    )
    chunk_overlap_tokens: int = Field(
        32, ge=0, description="Tokens that neighbouring chunks share."
    )

    expansions: int = Field(
        3, ge=0, le=8, description="Rephrasings a question is searched with beside itself."
    )
    passages: int = Field(6, ge=1, le=50, description="Most passages put into a prompt.")
    dense_weight: float = Field(
        0.5, ge=0, le=1, description="Share of meaning (against words) in a passage's score."
    )
    reranker: Reranker = Field(
        "",
        description="Model that reads the best passages with the question and orders them anew, a GGUF file with a "
        "head for it; only with `runtime` `llama_cpp`. [Retrieval](retrieval.md) says what it costs.",
    )
    rerank_passages: int = Field(
        20, ge=2, le=200, description="How many of the best passages the reranker reads."
    )
    min_relevance: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least relevance of what was found (`relevance` in a receipt); below it the answer is that the "
        "documents do not hold one, and no model is asked. What suits the embedding model when empty, 0: always ask.",
    )
    max_answer_tokens: int = Field(
        1024, ge=1, description="Tokens an answer may have when a request names none."
    )
    max_answers: int = Field(
        100,
        ge=1,
        description="Most answers that one `per_document` request may ask for, one a document.",
    )
    kept_responses: int = Field(
        10_000,
        ge=1,
        description="Responses of `/v1/responses` that a workspace keeps; beyond, whole conversations go, those first "
        "that were used longest ago.",
    )
    kept_responses_bytes: int = Field(
        2**30,
        ge=1,
        description="Bytes that the kept responses of a workspace may take; beyond, conversations go as well.",
    )
    kept_responses_days: float = Field(
        30, gt=0, description="Days after its last use that a response is forgotten."
    )

    runner: Literal["local", "worker"] = Field(
        "local",
        description="Who runs fine-tuning: a child process here, or the GPU worker that watches the folder.",
    )
    training_jobs: int = Field(1, ge=1, description="Fine-tuning jobs that run at once.")
    chat_while_training: bool = Field(
        False,
        description="Training and models fit into the memory side by side: no model is unloaded for a fine-tune, and "
        "no call is refused while a GPU trains.",
    )
    trackers: Trackers = Field(
        (),
        description="Where the figures of a training also go, beside its TensorBoard files: `mlflow`, `wandb` or both, "
        "each configured by its own variables (`MLFLOW_TRACKING_URI`, `WANDB_API_KEY`, ...). A worker has its own.",
    )
    verify_bounds: FileBounds | None = Field(
        None,
        description="How far the files of a fine-tune may be from the trained model, where the defaults do not suit: "
        'a JSON object such as `{"largest": 0.1, "loss": {"Q4_K_M": 0.2}}`. '
        "[Verified export](verified-export.md) names them.",
    )
    max_dataset_rows: int = Field(1_000_000, ge=1, description="Most rows a dataset may have.")

    max_table_rows: int = Field(1_000_000, ge=1, description="Most rows a table may have.")
    databases: Databases = Field(
        {},
        repr=False,
        description="Databases that requests may name, as a JSON object: "
        '`{"shop": {"url": "postgresql://...", "write": false, "statement_seconds": 30, "workspaces": ["default"]}}`. '
        "[Tables](tables.md) says what each means.",
    )

    shutdown_seconds: int = Field(
        8, ge=1, description="Time open requests get to end when the service stops."
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service: by the address it listens on, or, in a container
        that listens openly, by the one its port is published on.
        """
        reachable_on = self.bind if self.bind and self.allow_open else self.host
        return reachable_on in {"127.0.0.1", "localhost", "::1"}
