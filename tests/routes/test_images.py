"""Images in questions, at every door that takes a conversation: the model gets the bytes, and nothing is fetched."""

import base64
import time
from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

import pytest

from api.rag.images import MAX_BYTES, MAX_IMAGES, MAX_PIXELS
from api.runtime.images import size_of
from tests.listening import unreached
from tests.service import Service, open_service
from tests.tiny_vision import png

JSON = dict[str, Any]
PNG = png(4, 3)
GIF = b"GIF89a" + pack("<HH", 5, 7) + bytes(10)
JPEG = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc0\0\x0b\x08" + pack(">HH", 7, 5) + bytes(10)
LOSSY = b"RIFF\0\0\0\0WEBPVP8 " + bytes(4) + b"\0\0\0\x9d\x01\x2a" + pack("<HH", 5, 7)
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + pack("<I", 4 | 6 << 14)
EXTENDED = b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x04\0\0\x06\0\0"


def data(image: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def generate(*urls: str) -> tuple[str, JSON]:
    return "/generate", {"modelName": "demo", "user_prompt": "What?", "images": urls}


def conversation(*urls: str) -> tuple[str, JSON]:
    turn = {"role": "user", "content": "What?", "images": urls}
    return "/generate", {"modelName": "demo", "messages": [turn]}


def completions(*urls: str) -> tuple[str, JSON]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content = [{"type": "text", "text": "What?"}, *parts]
    return "/v1/chat/completions", _v1(messages=[{"role": "user", "content": content}])


def responses(*urls: str) -> tuple[str, JSON]:
    parts = [{"type": "input_image", "image_url": url} for url in urls]
    content = [{"type": "input_text", "text": "What?"}, *parts]
    return "/v1/responses", _v1(input=[{"role": "user", "content": content}], store=False)


def messages(*urls: str) -> tuple[str, JSON]:
    blocks = [{"type": "image", "source": _source(url)} for url in urls]
    content = [{"type": "text", "text": "What?"}, *blocks]
    return "/v1/messages", _v1(messages=[{"role": "user", "content": content}], max_tokens=9)


def _source(url: str) -> JSON:
    head, _, content = url.partition(";base64,")
    if not content:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": head.removeprefix("data:"), "data": content}


def _v1(**said: Any) -> JSON:
    return {"model": "demo", **said}


Door = Callable[..., tuple[str, JSON]]
DOORS: list[Door] = [generate, conversation, completions, responses, messages]
BOMB = PNG[:16] + pack(">II", 60_000, 60_000) + PNG[24:]
WIDE = PNG[:16] + pack(">II", 2**31, 1) + PNG[24:]
HOSTILE: dict[str, tuple[str, str]] = {
    "an address": ("http://127.0.0.1:{port}/x.png", "nothing is fetched"),
    "a safe address": ("https://127.0.0.1:{port}/x.png", "nothing is fetched"),
    "a file": ("file:///etc/passwd", "nothing is fetched"),
    "a path": ("/etc/passwd", "nothing is fetched"),
    "an address in data": ("data:http://127.0.0.1:{port}/x.png", "nothing is fetched"),
    "nothing": ("data:image/png;base64,", "damaged|no image/png|nothing is fetched"),
    "data in data": (data(data(PNG).encode()), "no image/png"),
    "no base64": ("data:image/png;base64,!!!!", "no base64"),
    "an open end": (data(PNG)[:-1], "no base64"),
    "a drawing": (data(b"<svg onload='x()'/>", "image/svg+xml"), "needed"),
    "a page": (data(b"<script>", "text/html"), "needed"),
    "a sound": (data(b"RIFF\0\0\0\0WAVEfmt ", "image/webp"), "damaged"),
    "another kind": (data(PNG, "image/jpeg"), "no image/jpeg"),
    "a cut header": (data(PNG[:20]), "damaged"),
    "a cut photograph": (data(JPEG[:12], "image/jpeg"), "damaged"),
    "a photograph without end": (data(b"\xff\xd8" + b"\xff" * 5000, "image/jpeg"), "damaged"),
    "a photograph of nothing": (data(b"\xff\xd8\xff\xda", "image/jpeg"), "damaged"),
    "no pixels": (data(GIF[:6] + bytes(8), "image/gif"), "damaged"),
    "a bomb": (data(BOMB), f"{MAX_PIXELS} are allowed"),
    "a line": (data(WIDE), "a side"),
}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose `demo` sees."""
    with open_service(tmp_path_factory.mktemp("seeing")) as service:
        service.runtime.gives_sight("demo")
        yield service


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A listener that nobody may reach."""
    with unreached() as port:
        yield port


@pytest.mark.parametrize("door", DOORS)
def test_the_bytes_reach_a_model_that_sees(seeing: Service, door: Door) -> None:
    seeing.runtime.history.clear()
    polyglot = PNG + b"PK\x03\x04 and so on"
    path, body = door(data(polyglot), data(GIF, "image/gif"))
    answer = seeing.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert seeing.runtime.history[-1].messages[-1].images == (polyglot, GIF)


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_image_is_refused_by_name_and_nothing_is_fetched(
    seeing: Service, port: int, what: str
) -> None:
    url, why = HOSTILE[what]
    for door in DOORS:
        path, body = door(data(PNG), url.format(port=port) if "{port}" in url else url)
        answer = seeing.client.post(path, json=body)
        assert answer.status_code in (400, 422), (path, answer.text)
        assert any(one in answer.text for one in why.split("|")), (path, answer.text)
        place = "images.1" if path == "/generate" else "content.2"
        assert place in answer.text, answer.text


@pytest.mark.parametrize("door", DOORS)
def test_a_model_without_the_ability_and_more_than_it_may_have_are_refused(
    service: Service, door: Door
) -> None:
    path, body = door(data(PNG))
    blind = service.client.post(path, json=body)
    assert blind.status_code in (400, 422)
    assert "annot" in blind.text
    service.runtime.gives_sight("demo")
    large = PNG[:16] + pack(">II", 8000, 5000) + PNG[24:]
    for many in ([PNG] * (MAX_IMAGES + 1), [large] * 2):
        path, body = door(*map(data, many))
        answer = service.client.post(path, json=body)
        assert answer.status_code in (400, 422)
        assert f"{MAX_IMAGES}" in answer.text or f"{MAX_PIXELS}" in answer.text


@pytest.mark.parametrize(
    "sent",
    [
        {"messages": [{"role": "user", "content": "?"}], "images": [data(PNG)]},
        {"messages": [{"role": "assistant", "content": "?", "images": [data(PNG)]}]},
    ],
)
def test_an_image_goes_with_what_a_user_says(seeing: Service, sent: JSON) -> None:
    answer = seeing.client.post("/generate", json={"modelName": "demo", **sent})
    assert answer.status_code == 422
    assert "user" in answer.text


def test_a_form_takes_images_too_and_documents_are_read_beside_them(seeing: Service) -> None:
    seeing.runtime.history.clear()
    fields = {"modelName": "demo", "user_prompt": "What?", "images": [data(PNG), data(PNG)]}
    assert seeing.client.post("/generate", data=fields).status_code == 200
    assert seeing.runtime.history[-1].messages[-1].images == (PNG, PNG)


def test_images_have_a_bound_of_bytes(seeing: Service) -> None:
    path, body = generate(data(PNG + bytes(MAX_BYTES)))
    answer = seeing.client.post(path, json=body)
    assert answer.status_code == 422
    assert f"{MAX_BYTES} are allowed" in answer.text


@pytest.mark.parametrize("image", [GIF, JPEG, LOSSY, LOSSLESS, EXTENDED])
def test_a_size_is_read_out_of_the_header(image: bytes) -> None:
    assert size_of(image) == (5, 7)
    assert all(size_of(image[:end]) in (None, (5, 7)) for end in range(len(image)))


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x01", b"\xff\xe0\0\2"])
def test_a_photograph_of_nothing_but_markers_takes_no_time(filler: bytes) -> None:
    begun = time.process_time()
    assert size_of(b"\xff\xd8\xff\x01" + filler * (10_000_000 // len(filler))) is None
    assert time.process_time() - begun < 0.5
