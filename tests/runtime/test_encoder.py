"""Encoders: the file is what the model's maker trained, in 8 bits, and its engine is a child as every other."""

import asyncio
import json
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest

from api.errors import BackEndFailed, Unusable
from api.runtime import EncoderFile, Message, Persona
from api.runtime.onnx.header import read_header
from api.runtime.onnx.server import multiplies_signed, without_sign
from finetune.encoders.export import export
from finetune.job.stage import StageFailed
from tests.runtime.conftest import LONG, Embedded, Opener, until

pytestmark = pytest.mark.anyio

TEXTS = [
    "The warranty covers two years from the date of purchase.",
    "To reset the device, hold the button for ten seconds until the light blinks.",
    "Revenue fell by 4.2 % to $ 1,318 million; Übersicht — ½ ü ÄÖ 中文 naïve",
    "- " * 200,
]


@pytest.fixture
async def embedded(open_embedded: Opener, encoder_onnx: Path) -> Embedded:
    """A runtime with the embedding model twice: `embedder` in llama.cpp, `encoder` in ONNX Runtime."""
    one = open_embedded(most_threads=2)
    await one.runtime.create_model("encoder", EncoderFile(encoder_onnx), Persona())
    return one


@pytest.mark.real
async def test_its_vectors_are_those_of_the_other_engine_nearly(embedded: Embedded) -> None:
    runtime = embedded.runtime
    ours, theirs = [np.array(await runtime.embed(name, TEXTS)) for name in ("encoder", "embedder")]
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert (ours * theirs).sum(axis=1).min() > 0.99
    lengths = [await runtime.tokenize_lengths(name, TEXTS) for name in ("encoder", "embedder")]
    assert lengths[0] == lengths[1]


@pytest.mark.real
async def test_no_text_changes_the_vector_of_another(embedded: Embedded) -> None:
    together = await embedded.runtime.embed("encoder", TEXTS * 20)
    alone = [(await embedded.runtime.embed("encoder", [text]))[0] for text in TEXTS]
    assert together == alone * 20


def test_without_a_sign_the_numbers_are_the_same(encoder_onnx: Path) -> None:
    """As the engine computes on a processor that has no exact product of signed and unsigned 8 bits."""
    import onnxruntime

    ids = {"ids": np.array([[101, *range(2000, 2060), 102]])}
    signed, unsigned = [
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, ids)[0]
        for model in (str(encoder_onnx), without_sign(str(encoder_onnx)))
    ]
    assert (signed * unsigned).sum() > (0.99999 if multiplies_signed() else 0.99)


@pytest.mark.real
async def test_what_dies_is_started_again(embedded: Embedded) -> None:
    (child,) = [one for one in embedded.children.loaded() if one.launch.path.suffix == ".onnx"]
    work = asyncio.create_task(embedded.runtime.embed("encoder", ["word " * 400] * 64))
    await until(lambda: child.open == 1)
    child.process.send_signal(signal.SIGSEGV)
    with pytest.raises(BackEndFailed, match="ended"):
        await work
    await child.ended
    assert await embedded.runtime.embed("encoder", ["again"])


@pytest.mark.real
async def test_it_has_all_threads_while_no_model_writes(embedded: Embedded) -> None:
    assert embedded.children.threads() == 2
    stream = embedded.runtime.chat("demo", [Message("user", "Hello")], LONG)
    await anext(stream)
    assert embedded.children.threads() == 1
    assert await embedded.runtime.embed("encoder", ["meanwhile"])
    await stream.aclose()
    assert embedded.children.threads() == 2


@pytest.mark.real
async def test_a_file_that_the_engine_cannot_load_is_refused_in_words(
    embedded: Embedded, encoder_onnx: Path, tmp_path: Path
) -> None:
    model = onnx.load(encoder_onnx)
    model.graph.node[3].op_type = "Nonsense"
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(Unusable, match=r"ONNX Runtime cannot load the model: .*Nonsense"):
        await embedded.runtime.create_model("bad", EncoderFile(tmp_path / "bad.onnx"), Persona())


def test_its_header_says_what_it_is(encoder_onnx: Path) -> None:
    header = read_header(encoder_onnx)
    assert (header.architecture, header.context_length, header.embeds) == ("bert", 512, True)
    assert header.parameter_count == 22_565_376
    assert header.size_bytes == encoder_onnx.stat().st_size < 25_000_000


def damaged(content: bytes) -> dict[str, bytes]:
    """Files that are none, each by what is wrong with it."""
    return {
        "empty": b"",
        "a PDF": b"%PDF-1.7\n" + content[:999],
        "half": content[: len(content) // 2],
        "without an end": content + b"\xff" * 20,
        "a longer graph": b"\x3a\xff\xff\xff\xff\xff\xff\xff\x7f",
        "without a graph": b"\x72\x06\x0a\x01a\x12\x01b",
        "without metadata": b"\x3a\x01a",
        "text that is none": b"\x3a\x01a\x72\x03\x0a\x01\xff",
    }


def test_what_is_no_such_file_is_refused(encoder_onnx: Path, tmp_path: Path) -> None:
    for name, content in damaged(encoder_onnx.read_bytes()).items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(Unusable, match="no sound ONNX file"):
            read_header(path)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "llama", "hidden_act": "silu"}, "bert, roberta, xlm-roberta"),
        ({"model_type": "bert", "hidden_act": "relu"}, "'relu'"),
        ({"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12}, "hold no"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_encoder_is_not_exported(
    tmp_path: Path, config: dict[str, object] | None, says: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("no" if config is None else json.dumps(config))
    with pytest.raises(StageFailed, match=says):
        export(folder, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == [folder]
