"""Who serves models on OpenAI's wire, where, and how their wire differs: a row each; nothing is guessed from names.

`python -m api.backends.providers` writes the table of `docs/back-ends.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from api.runtime.openai_style.dialect import BEYOND, USUAL, Dialect


@dataclass(frozen=True, slots=True)
class Provider:
    """One row; without `base_url` whoever makes a back end says it."""

    name: str
    base_url: str
    dialect: Dialect
    note: str = ""


_COMPLETION_TOKENS = {"max_tokens": "max_completion_tokens"}
_NOTHING_BEYOND: frozenset[str] = frozenset()
_OPENAI = Dialect(rename=_COMPLETION_TOKENS, takes=_NOTHING_BEYOND, stops=4, completions=False)
_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_REASONING = Dialect(
    rename=_COMPLETION_TOKENS,
    drop=(*_SAMPLING, "logit_bias", "logprobs", "top_logprobs"),
    takes=_NOTHING_BEYOND,
    stops=0,
    completions=False,
)
_STRICT = Dialect(takes=_NOTHING_BEYOND, stops=4)
_ZHIPU = Dialect(
    clamp={"temperature": (0.01, 0.99), "top_p": (0.01, 0.99)},
    takes=_NOTHING_BEYOND,
    stops=1,
    schema="json_object",
    usage_in_stream=False,
    completions=False,
)

# Where `stops` and `texts_at_once` are from, as read in stored copies in November 2026. Makers' own: OpenAI's help
# center (4 stops), and its API description (none with o3 and o4-mini); Groq's SDK (4); OpenRouter's reference (4);
# z.ai's reference ("only one stop word is supported", though its schema lets four pass); Moonshot's reference (5, of
# 32 bytes each); Qianfan's pages (4, of 20 characters each; 16 texts, one with tao-8k); DeepSeek's reference (16, as
# its clients have it; 8 in a copy of 2024); TGI's launcher (`--max-stop-sequences`, 4); Alibaba's pages (10 texts
# with text-embedding-v3 and v4). Others' adapters: Mistral's 4 stops (LangChain) and 16,384 tokens a call of
# embeddings (issues of several projects); Baichuan's 16 texts (LangChain). From memory alone: the stops of qwen,
# minimax and sparkdesk.
_ROWS = (
    Provider("generic", "", Dialect(), "any server on OpenAI's wire"),
    Provider(
        "llama.cpp", "", Dialect(counts="llama.cpp"), "its own server; tokens are counted exactly"
    ),
    Provider(
        "vllm",
        "",
        Dialect(counts="vllm", rename={"repeat_penalty": "repetition_penalty"}, takes=BEYOND),
        "tokens are counted exactly; tools need `--enable-auto-tool-choice --tool-call-parser`",
    ),
    Provider(
        "causal",
        "",
        Dialect(schema="prompt", tools="prompt", embeddings=False, counts="vllm"),
        "our own server of transformers; tokens are counted exactly",
    ),
    Provider(
        "custom",
        "",
        Dialect(schema="prompt", tools="prompt", completions=False, embeddings=False),
        "our own server of a class of yours, which takes the parameters that it names",
    ),
    Provider("sglang", "", Dialect(rename={"repeat_penalty": "repetition_penalty"}, takes=BEYOND)),
    Provider("tgi", "", _STRICT),
    Provider("lmstudio", "http://127.0.0.1:1234/v1", Dialect()),
    Provider("openai", "https://api.openai.com/v1", _OPENAI),
    Provider(
        "openai-reasoning",
        "https://api.openai.com/v1",
        _REASONING,
        "its models that think: they take no temperature and its kin",
    ),
    Provider(
        "azure",
        "",
        replace(_OPENAI, key_header="api-key"),
        "`https://RESOURCE.openai.azure.com/openai/v1`; a model is the name of a deployment",
    ),
    Provider(
        "qianfan",
        "https://qianfan.baidubce.com/v2",
        replace(_STRICT, texts_at_once=16),
        "the key begins with `bce-v3/`; there is no pair of key and secret any more",
    ),
    Provider("zhipu", "https://open.bigmodel.cn/api/paas/v4", _ZHIPU, "also what was ChatGLM 130B"),
    Provider("zai", "https://api.z.ai/api/paas/v4", _ZHIPU, "zhipu outside of China"),
    Provider(
        "qwen",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        Dialect(takes=frozenset({"top_k"}), stops=4, texts_at_once=10),
        "elsewhere `https://dashscope-intl.aliyuncs.com/compatible-mode/v1`",
    ),
    Provider(
        "moonshot",
        "https://api.moonshot.ai/v1",
        Dialect(clamp={"temperature": (0.0, 1.0)}, takes=_NOTHING_BEYOND, stops=5),
        "in China `https://api.moonshot.cn/v1`; a key is of one of them; where a model fixes its temperature, drop it",
    ),
    Provider(
        "minimax",
        "https://api.minimax.io/v1",
        Dialect(
            rename=_COMPLETION_TOKENS,
            clamp={"temperature": (0.01, 1.0)},
            add={"reasoning_split": True},
            takes=_NOTHING_BEYOND,
            stops=4,
            completions=False,
        ),
        "in China `https://api.minimaxi.com/v1`; without `reasoning_split` it thinks aloud in its answer",
    ),
    Provider(
        "baichuan",
        "https://api.baichuan-ai.com/v1",
        Dialect(takes=frozenset({"top_k"}), texts_at_once=16),
    ),
    Provider(
        "sparkdesk",
        "https://spark-api-open.xf-yun.com/v1",
        _STRICT,
        "the key is the APIPassword, or `APIKey:APISecret`",
    ),
    Provider("sparkdesk-x1", "https://spark-api-open.xf-yun.com/v2", _STRICT, "the same key"),
    Provider(
        "deepseek",
        "https://api.deepseek.com/v1",
        Dialect(takes=_NOTHING_BEYOND, schema="json_object"),
    ),
    Provider(
        "mistral",
        "https://api.mistral.ai/v1",
        replace(_STRICT, texts_at_once=16),
        "a call makes vectors of at most 16,384 tokens: embed long texts fewer at once",
    ),
    Provider("groq", "https://api.groq.com/openai/v1", _STRICT),
    Provider(
        "openrouter",
        "https://openrouter.ai/api/v1",
        Dialect(rename={"repeat_penalty": "repetition_penalty"}, stops=4),
    ),
    Provider(
        "together",
        "https://api.together.xyz/v1",
        Dialect(rename={"repeat_penalty": "repetition_penalty"}),
    ),
)
PROVIDERS: Mapping[str, Provider] = {row.name: row for row in _ROWS}


def providers_table() -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| provider | base URL | differs from OpenAI's wire as llama.cpp and vLLM take it | notes |",
        "|---|---|---|---|",
    ]
    for row in PROVIDERS.values():
        url = f"`{row.base_url}`" if row.base_url else "yours"
        lines.append(
            f"| `{row.name}` | {url} | {'; '.join(_differences(row.dialect)) or '-'} | {row.note} |"
        )
    return "\n".join(lines) + "\n"


def _differences(dialect: Dialect) -> list[str]:
    said = []
    if dialect.key_header != "Authorization":
        said.append(f"key in `{dialect.key_header}`")
    said += [f"`{ours}` is `{theirs}`" for ours, theirs in dialect.rename.items()]
    if dialect.drop:
        said.append("left out: " + ", ".join(f"`{name}`" for name in dialect.drop))
    said += [
        f"`{name}` from {least:g} to {most:g}" for name, (least, most) in dialect.clamp.items()
    ]
    said += [f"`{name}: {str(value).lower()}`" for name, value in dialect.add.items()]
    if more := sorted(dialect.takes - USUAL):
        said.append("taken: " + ", ".join(f"`{name}`" for name in more))
    if refused := sorted(USUAL - dialect.takes):
        said.append("refused: " + ", ".join(f"`{name}`" for name in refused))
    for field in fields(Dialect):
        value = getattr(dialect, field.name)
        if field.name in _SAID and value != field.default:
            said.append(_SAID[field.name].format(value))
    return said


_SAID = {
    "stops": "stops: {}",
    "schema": "schemas by `{}`",
    "tools": "tools by `{}`",
    "usage_in_stream": "not asked for usage in streams",
    "completions": "no texts without a conversation",
    "embeddings": "no vectors",
    "texts_at_once": "vectors of {} texts a call",
    "counts": "counts as {}",
}

if __name__ == "__main__":
    print(providers_table(), end="")  # noqa: T201
