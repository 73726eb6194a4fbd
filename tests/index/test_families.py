"""An embedding model is used as it was made: recognised, its texts put into its templates, its length kept to."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.index.embeddings import Embedder, parts_of, versioned
from api.index.families import FAMILIES, PLAIN, TEXT, Templates, family_of
from api.settings import Settings
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio

NOMIC = "nomic-embed-text:v1.5"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("all-minilm", "minilm"),
        ("all-minilm-l6-v2", "minilm"),
        ("all-minilm-l6-v2-int8", "minilm"),
        ("paraphrase-multilingual:278m", "minilm"),
        ("all-mpnet-base-v2", "mpnet"),
        ("intfloat/e5-base-v2", "e5"),
        ("multilingual-e5-small-q8_0", "e5"),
        ("multilingual-e5-large-instruct", "multilingual-e5-instruct"),
        ("e5-mistral-7b-instruct", "e5-mistral"),
        ("bge-m3:567m", "bge-m3"),
        ("BAAI_bge-m3-Q8_0", "bge-m3"),
        ("bge-large:335m", "bge-en"),
        ("Bge Small En V1.5", "bge-en"),
        ("bge-small-zh-v1.5", "bge-zh"),
        ("thenlper/gte-base", "gte"),
        ("gte-base-en-v1.5", "gte-long"),
        ("gte_multilingual_base", "gte-long"),
        ("gte-Qwen2-1.5B-instruct", "gte-qwen2"),
        (NOMIC, "nomic-embed"),
        ("hf.co/nomic-ai/nomic-embed-text-v2-moe-GGUF:Q4_K_M", "nomic-embed-v2"),
        ("embeddinggemma:300m", "embeddinggemma"),
        ("Embedding Gemma 300M", "embeddinggemma"),
        ("qwen3-embedding:0.6b", "qwen3-embedding"),
        ("Qwen3-Embedding-0.6B-Q8_0", "qwen3-embedding"),
        ("snowflake-arctic-embed:335m", "arctic-embed"),
        ("snowflake-arctic-embed:137m", "arctic-embed-long"),
        ("snowflake-arctic-embed2:568m", "arctic-embed-2"),
        ("snowflake-arctic-embed-l-v2.0", "arctic-embed-2"),
        ("mxbai-embed-large", "mxbai-embed"),
        ("deepset-mxbai-embed-de-large-v1", "mxbai-embed-de"),
        ("jina/jina-embeddings-v2-base-de", "jina-v2"),
        ("jina-embeddings-v3", "jina-v3"),
        ("granite-embedding:278m", "granite"),
        ("granite-embedding-english-r2", "granite-r2"),
        ("large", None),
        ("cabbage-large", None),
        ("my-embedder", None),
    ],
)
def test_a_model_is_recognised_by_its_name(name: str, family: str | None) -> None:
    found = family_of([name])
    assert (found.name if found else None) == family


def test_a_model_of_another_name_is_recognised_by_what_its_file_says() -> None:
    titled = family_of(["ours", "Multilingual E5 Small"])
    assert titled
    assert titled.name == "e5"
    built = family_of(["ours"], "gemma-embedding")
    assert built
    assert built.name == "embeddinggemma"
    assert family_of(["ours"], "bert") is None


def test_the_page_for_users_has_every_family() -> None:
    page = (Path(__file__).parents[2] / "docs/embedders.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        assert f"| {family.name} | " in page
        assert family.source in page


def test_every_template_has_one_place_for_the_text() -> None:
    for family in FAMILIES:
        for template in family.templates:
            assert template.count(TEXT) == 1
            assert template.endswith(TEXT)


async def test_questions_and_passages_are_embedded_as_the_family_wants_them() -> None:
    runtime = FakeRuntime(embedding_model=NOMIC)
    embedder = Embedder(runtime, NOMIC)
    await embedder.embed_passages(["The tower of {text}."])
    await embedder.embed_queries(["Which tower?"])
    assert runtime.embedded == [
        "search_document: The tower of {text}.",
        "search_query: Which tower?",
    ]
    assert "as nomic-embed" in await embedder.described()


async def test_an_unknown_model_gets_its_texts_as_they_are_and_the_operator_hears_of_it() -> None:
    runtime = FakeRuntime(embedding_model="ours")
    embedder = Embedder(runtime, "ours")
    await embedder.embed_queries(["Which tower?"])
    assert runtime.embedded == ["Which tower?"]
    assert await embedder.templates() == PLAIN
    assert "of a family that is not known" in await embedder.described()


async def test_what_the_file_calls_the_model_counts_too() -> None:
    embedder = Embedder(FakeRuntime(embedding_model="ours", embedding_title="Bge Small En"), "ours")
    assert (await embedder.templates()).query.startswith("Represent this sentence")


async def test_a_template_of_the_settings_goes_before_the_family_s() -> None:
    runtime = FakeRuntime(embedding_model=NOMIC)
    embedder = Embedder(runtime, NOMIC, query="Q: {text}")
    assert await embedder.templates() == Templates("Q: {text}", "search_document: {text}")
    assert "at most 64 tokens" in await Embedder(runtime, NOMIC, length=64).described()


async def test_vectors_of_passages_under_another_template_are_another_version() -> None:
    runtime = FakeRuntime(embedding_model=NOMIC)
    usual = await Embedder(runtime, NOMIC).version()
    plain = await Embedder(runtime, NOMIC, passage=TEXT).version()
    asked_otherwise = await Embedder(runtime, NOMIC, query=TEXT).version()
    assert usual == asked_otherwise
    assert usual.startswith(f"{plain}+")
    for version in (usual, plain, "a:b+c:64", "a:b:64@0123+89ab"):
        assert versioned(*parts_of(version)) == version
    assert parts_of("a:b:64@0123+89ab") == ("a:b", 64, "0123", "89ab")


async def test_a_chunk_leaves_room_for_what_stands_around_it() -> None:
    runtime = FakeRuntime(embedding_model="qwen3-embedding:0.6b", embedding_context=512)
    embedder = Embedder(runtime, "qwen3-embedding:0.6b")
    bare = Embedder(runtime, "qwen3-embedding:0.6b", query=TEXT)
    words = len((await embedder.templates()).query.removesuffix(TEXT).split())
    assert await embedder.longest() == await bare.longest() - words
    assert await embedder.longest_chunk() < await embedder.longest()


async def test_a_chunk_is_no_longer_than_the_model_reads_well() -> None:
    long = FakeRuntime(embedding_context=8192)
    assert await Embedder(long, "all-minilm-l6-v2-int8").longest_chunk() == 256
    long = FakeRuntime(embedding_model="bge-m3", embedding_context=8192)
    assert await Embedder(long, "bge-m3").longest_chunk() == 2048


def test_a_template_in_the_settings_says_where_the_text_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "LLM_FASTAPI_EMBEDDING_QUERY_TEMPLATE"
    monkeypatch.setenv(name, r"Instruct: Find it\nQuery: {text}")
    assert Settings().embedding_query_template == "Instruct: Find it\nQuery: {text}"
    for wrong in ("query: ", "{text} {text}"):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(ValidationError, match="names no place"):
            Settings()
