"""ModelRuntime: what runs language models, as the rest of the service sees it, with the values it speaks.

Implementations: `llama_cpp.runtime.LlamaCppRuntime` (embedded), `ollama.runtime.OllamaRuntime`, and
`openai_style.runtime.OpenAIStyleRuntime` over any server on OpenAI's wire; `routed.RoutedRuntime` puts several behind
one list of names. One contract suite (`tests/contracts/test_model_runtime.py`) runs over each of them and the fake.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from api.runtime.training import Training
from finetune.job.device import Device

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that a model asks for; `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. An assistant's may call tools, and a tool's answers the call of `tool_call_id`."""

    role: Role
    content: str
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How to generate; `None` leaves the choice to the persona, then to the runtime.

    `logit_bias` is by token id; `logprobs` asks for those of each token with so many alternatives (0 to 20). `tools`
    are functions as OpenAI writes them, `{"type": "function", "function": {"name", "description", "parameters"}}`,
    and `tool_choice` is `auto`, `none`, or what only `forced_calls.chat` can do: `required`, or the name of one of
    them. `think` is whether a model that can thinks before it answers; where nobody says so, Ollama's do not, and
    llama.cpp's do as their template is made. `stop_token_ids` end an answer as a stop does: the text of one that is no
    control token stays. `extra` are parameters of a back end's own, of those that `ModelInfo.extras` names.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    num_ctx: int | None = None
    json_schema: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[int, float] | None = None
    logprobs: int | None = None
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    think: bool | None = None
    stop_token_ids: tuple[int, ...] | None = None
    extra: Mapping[str, Any] | None = None

    def over(self, defaults: "Options") -> "Options":
        """These options, with what is unset taken from `defaults`."""
        unset = {
            f.name: getattr(defaults, f.name) for f in fields(self) if getattr(self, f.name) is None
        }
        return replace(self, **unset)


@dataclass(frozen=True, slots=True)
class Persona:
    """What makes a model of its own out of a base: no weights are copied.

    A `prompt_template`, with the usual values of its `variables`, is put around what a user asks before a runtime is
    given it: no runtime knows of either.
    """

    system: str = ""
    template: str | None = None
    parameters: Options = field(default_factory=Options)
    prompt_template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ExistingModel:
    """Create from a model that the runtime has."""

    name: str


class TrainedFrom(NamedTuple):
    """What a fine-tune was trained from: the model that was named, and the base model below all; and what is known of
    how, which a runtime keeps as it is.
    """

    base: str
    root: str
    lineage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class GGUFFile:
    """Create from a GGUF file; the runtime copies or links it, the file stays where it is.

    With its `projector` (mmproj), a GGUF file too, the model sees images. A runtime that can writes down beside the
    model what it was `trained_from`.
    """

    path: Path
    trained_from: TrainedFrom | None = None
    projector: Path | None = None


@dataclass(frozen=True, slots=True)
class EncoderFile:
    """Create an embedding model from an ONNX file as `finetune.encoders.export` writes it: for the embedded runtime."""

    path: Path


ModelSource = ExistingModel | GGUFFile | EncoderFile


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the runtime knows about one model. `capabilities` holds "chat", "embed", "rerank", "images",
    "tools", "json_schema". `digest` is of the weights: another one under the same name is another model. `title` is
    what its file calls it, `back_end` where it runs, empty for the home runtime. `vocabulary` counts its tokens, 0
    where nobody tells. It takes `stop_token_ids` where it `stops_at_tokens`, and `extras` of what `Options.extra` has.
    """

    name: str
    size_bytes: int
    context_length: int
    capabilities: frozenset[str]
    template: str
    persona: Persona
    modified_at: datetime
    quantization: str = ""
    parameter_count: int = 0
    digest: str = ""
    architecture: str = ""
    title: str = ""
    back_end: str = ""
    vocabulary: int = 0
    stops_at_tokens: bool = False
    extras: frozenset[str] = frozenset()


ModelRef = str | ModelInfo
"""A model by its name, or as `show` found it: that one is not looked for again."""


def name_of(model: ModelRef) -> str:
    """What a model is called."""
    return model if isinstance(model, str) else model.name


@dataclass(frozen=True, slots=True)
class Usage:
    """How a generation ended and what it cost, in tokens; not `exact` where a back end told no count."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a call of a tool: `id` and `name` stand in its first, `arguments` in as many as it takes."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


def grown(call: ToolCall | None, piece: CallPiece) -> ToolCall:
    """A call with one more of its pieces."""
    if call is None:
        return ToolCall(piece.id, piece.name, piece.arguments)
    return replace(call, arguments=call.arguments + piece.arguments)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was said, its natural logarithmic probability, its bytes, and the likeliest in its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer; the last one, and only it, carries `usage`.

    `reasoning` is what a model thinks before it answers, and no part of its answer.
    """

    text: str
    usage: Usage | None = None
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a rendered conversation; an upper estimate when not exact."""

    number: int
    exact: bool


class ModelRuntime(Protocol):
    """Runs models. Names are compared without regard to case; every method may raise `errors.ModelNotFound`
    for an unknown name, `errors.BackEndFailed` (502) or `errors.Unavailable` (503) when the back end is not there.
    """

    async def models(self) -> list[ModelInfo]:
        """All models, embedding models included, sorted by name."""
        ...

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model. What was found before is given back as long as nobody has said that it changed."""
        ...

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model, visible only when it is whole; broken off, it leaves nothing, and a model that it was to
        replace as it is, unless that comes too late to be heard. `errors.NameTaken` unless `replace`;
        `errors.Unusable` for a file that is no sound GGUF or a template that does not parse. A persona over a persona
        inherits what it does not set.
        """
        ...

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name; replaces nothing (`errors.NameTaken`)."""
        ...

    async def delete_model(self, name: str) -> None:
        """Delete a model; models built on it go on answering."""
        ...

    def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces; the last carries `usage`, and a stream that ends without it raises
        `errors.BackEndFailed`. Closing it (`contextlib.aclosing`) cancels the generation. `errors.InvalidOption` for
        what the model cannot take.

        The answer has at most `options.max_tokens` (or the persona's), and where none says so as many as the context
        surely leaves. `errors.PromptTooLong` before the first piece when the prompt leaves fewer than `least_tokens`
        (`options.max_tokens` when left out). `prompt_tokens` is what `count_tokens` said of the same messages, which
        are then not counted again.
        """
        ...

    def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text as it stands, without template or system prompt; otherwise like `chat`. What reads like a
        control token is mere text (to Ollama, which cannot be told so, it is one).
        """
        ...

    async def count_tokens(
        self, model: ModelRef, messages: Sequence[Message], num_ctx: int | None = None
    ) -> TokenCount:
        """Tokens of the conversation as the model will read it, persona and template included. `num_ctx` is that of
        the answer to come: another one could load the model a second time.
        """
        ...

    async def tokenize_lengths(
        self, model: ModelRef, texts: Sequence[str], num_ctx: int | None = None
    ) -> list[int]:
        """Tokens of each text by itself, without those that the model puts around a text."""
        ...

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One L2-normalised vector a text; `errors.InvalidOption` for a model that cannot embed, `errors.Unusable`
        with `index` and `tokens` for a text that it cannot read whole.
        """
        ...

    async def rerank(self, model: ModelRef, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the query: one score a text, on the model's own scale, higher is better.
        `errors.InvalidOption` for a model that cannot rerank, `errors.Unusable` when the query and a text do not fit
        into it together.
        """
        ...

    async def release_memory(self, device: Device | None = None) -> None:
        """Unload every model, or those that lie on a device; the next call loads again."""
        ...

    def reserve(self, trainings: Sequence[Training]) -> None:
        """These train now, each with its device to itself: a call that would load a model there is `DeviceInUse` until
        a later call names the training no more. A training on a CPU keeps nothing from being loaded.
        """
        ...

    async def check(self) -> tuple[str, ...]:
        """Raise when the runtime cannot serve; else hints for the operator (shown in the log and `/readyz`)."""
        ...

    async def close(self) -> None:
        """Stop everything that was started."""
        ...
