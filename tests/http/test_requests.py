"""One request from query, form or JSON: what is read, and what is refused with the field's name."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, get_args

import pytest
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_core.core_schema import ErrorType
from starlette.testclient import TestClient

from api.http.compressed import unpacked
from api.http.openapi import documented
from api.http.problems import install_problem_handlers
from api.http.request import Upload, request_model
from api.http.request_fields import RequestFields
from api.http.wording import WORDS
from api.readiness import Readiness
from api.settings import Settings


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    elsewhere: ClassVar[Mapping[str, str]] = {"heat": "temperature"}
    temperature: float | None = None


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model_name: str = Field(alias="modelName", description="Which model.")
    tags: tuple[str, ...] = ()
    rate: float | None = Field(
        None, ge=0, le=1, validation_alias=AliasChoices("learning_rate", "lr")
    )
    steps: int = 3
    fast: bool = False
    inner: Inner = Inner()


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()
    app.state.services = SimpleNamespace(
        settings=Settings(max_body_bytes=20_000, max_upload_bytes=5_000)
    )
    install_problem_handlers(app)

    @app.post("/order", openapi_extra=documented(Order))
    async def order(order: Annotated[Order, Depends(request_model(Order))]) -> Order:
        return order

    dependency = request_model(Order, files=("file",), optional_files=("more",))

    @app.post("/upload", openapi_extra=documented(Order, files={"file": "A file."}))
    async def upload(upload: Annotated[Upload[Order], Depends(dependency)]) -> dict[str, Any]:
        return {
            "model": upload.values.model_name,
            "files": {
                name: [file.filename, len(await file.read())] for name, file in upload.files.items()
            },
        }

    return app


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


WHOLE = {
    "modelName": "ada",
    "tags": ["a", "b"],
    "learning_rate": 0.5,
    "steps": 7,
    "fast": True,
    "inner": {"temperature": 0.25},
}
TEXT = {**WHOLE, "fast": "true", "inner": '{"temperature": 0.25}'}
READ = {
    "modelName": "ada",
    "tags": ["a", "b"],
    "rate": 0.5,
    "steps": 7,
    "fast": True,
    "inner": {"temperature": 0.25},
}


@pytest.mark.parametrize("source", ["query", "form", "multipart", "json"])
def test_the_same_values_are_read_from_every_source(client: TestClient, source: str) -> None:
    sent: dict[str, Any]
    if source == "query":
        sent = {"params": TEXT}
    elif source == "form":
        sent = {"data": TEXT}
    elif source == "multipart":
        pairs = [(k, v) for k, vs in TEXT.items() for v in (vs if isinstance(vs, list) else [vs])]
        sent = {"files": [(name, (None, str(value))) for name, value in pairs]}
    else:
        sent = {"json": WHOLE}
    response = client.post("/order", **sent)
    assert response.status_code == 200, response.text
    assert response.json() == READ


def test_query_and_body_stand_side_by_side(client: TestClient) -> None:
    response = client.post("/order?steps=9&tags=x", json={"modelName": "ada", "lr": 0.1})
    assert response.json()["steps"] == 9
    assert response.json()["tags"] == ["x"]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("lr=0.5&learning_rate=0.50", {}),
        ("steps=7&steps=7", {}),
        ("steps=7", {"steps": 7}),
        ("tags=a&tags=b", {"tags": ["a", "b"]}),
        ("model_name=ada", {}),
    ],
)
def test_given_twice_and_equal_is_no_error(
    client: TestClient, query: str, body: dict[str, Any]
) -> None:
    response = client.post(f"/order?modelName=ada&{query}", json=body)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("lr=0.5&learning_rate=0.6", {}, "learning_rate"),
        ("steps=7&steps=8", {}, "steps"),
        ("steps=7", {"steps": 8}, "steps"),
        ("tags=a", {"tags": ["b"]}, "tags"),
        ("modelName=eva", {}, "modelName"),
    ],
)
def test_given_twice_and_different_names_the_field(
    client: TestClient, query: str, body: dict[str, Any], field: str
) -> None:
    response = client.post(f"/order?modelName=ada&{query}", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"modelName": "a", "learning_rate": NaN}', "learning_rate"),
        ('{"modelName": "a", "lr": -Infinity}', "lr"),
        ('{"modelName": "a", "lr": 1e999}', "lr"),
        ('{"modelName": "a", "steps": ' + "9" * 5000 + "}", "steps"),
        ('{"modelName": "a", "steps": 99999999999999999999}', "steps"),
        ('{"modelName": "a", "modelName": "a"}', "modelName"),
        ('{"modelName": "a", "inner": {"temperature": 1, "temperature": 1}}', "temperature"),
        ('{"modelName": "\\ud800"}', "modelName"),
        ('{"modelName": "a", "tags": ["\\udfff"]}', "tags"),
        ('{"modelName": 5}', "modelName"),
        ('{"modelName": "a", "steps": "7"}', "steps"),
        ('{"modelName": "a", "steps": true}', "steps"),
        ('{"modelName": "a", "fast": 1}', "fast"),
        ('{"modelName": "a", "tags": "x"}', "tags"),
        ('{"modelName": "a", "lr": 2}', "lr"),
        ('{"modelName": "a", "unknown": 1}', "unknown"),
        ('{"modelName": "a", "inner": {"top": 1}}', "inner.top"),
        ('{"steps": 1}', "modelName"),
    ],
)
def test_what_json_cannot_mean_names_the_field(client: TestClient, body: str, field: str) -> None:
    response = client.post("/order", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == field
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("lr=fast", "A number is needed."),
        ("lr=2", "At most 1.0 is allowed."),
        ("lr=-1", "At least 0.0 is needed."),
        ("steps=1.5", "A whole number is needed."),
        ("fast=perhaps", "`true` or `false` is needed."),
        ("inner=[]", "An object is needed."),
        ('inner={"temperature": "warm"}', "A number is needed."),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(client: TestClient, query: str, said: str) -> None:
    response = client.post(f"/order?modelName=a&{query}")
    assert response.json()["errors"][0]["reason"] == said


def test_every_wording_is_of_an_error_that_there_is() -> None:
    assert set(WORDS) <= set(get_args(ErrorType))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[1]",
        b'"modelName"',
        b"\xff\xfe{",
        b'{"modelName": ' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"modelName": ' + b"[" * 9000 + b"]" * 9000 + b"}",
    ],
)
def test_what_is_no_json_object_is_malformed(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/order", content=body, headers=headers)
    assert response.status_code == (400 if body else 422)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("modelName=a&lr=nan", "lr"),
        ("modelName=a&lr=fast", "lr"),
        ("modelName=a&steps=1.5", "steps"),
        ("modelName=a&fast=perhaps", "fast"),
        ("modelName=a&inner={", "inner"),
        ("modelName=a&who=me", "who"),
        ("modelName=%ff", "query"),
        ("", "modelName"),
    ],
)
def test_what_text_cannot_mean_names_the_field(client: TestClient, query: str, field: str) -> None:
    response = client.post(f"/order?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == field


def test_a_long_value_is_not_echoed(client: TestClient) -> None:
    response = client.post("/order", json={"modelName": "a", "x" * 9000: 1, "steps": "y" * 9000})
    assert response.status_code == 422
    assert len(response.content) < 1500


def test_a_body_over_its_bound_is_refused(client: TestClient) -> None:
    declared = client.post("/order", json={"modelName": "a" * 30_000})
    counted = client.post("/order", content=iter([b"a" * 15_000] * 2))
    assert (declared.status_code, counted.status_code) == (413, 413)


def test_another_media_type_is_refused(client: TestClient) -> None:
    headers = {"content-type": "text/xml"}
    assert client.post("/order", content=b"<a/>", headers=headers).status_code == 415


def test_while_the_service_starts_it_says_so() -> None:
    app = FastAPI()
    app.state.services = None
    app.state.readiness = Readiness()
    install_problem_handlers(app)

    @app.post("/order")
    async def order(order: Annotated[Order, Depends(request_model(Order))]) -> Order:
        return order

    response = TestClient(app).post("/order?modelName=a")
    assert response.status_code == 503
    assert "The service is starting" in response.json()["detail"]
    assert "Retry-After" in response.headers


def test_files_come_beside_values(client: TestClient) -> None:
    files = {"file": ("a.pdf", b"x" * 4000), "more": ("b.pdf", b"y")}
    response = client.post("/upload?steps=2", data={"modelName": "ada"}, files=files)
    assert response.json() == {
        "model": "ada",
        "files": {"file": ["a.pdf", 4000], "more": ["b.pdf", 1]},
    }


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ([("more", ("b.pdf", b"y"))], "file"),
        ([("file", ("a.pdf", b"x")), ("file", ("b.pdf", b"x"))], "file"),
        ([("file", (None, "text"))], "file"),
        ([("file", ("", b"x"))], "file"),
        ([("file", ("a.pdf", b"x")), ("other", ("a.pdf", b"x"))], "other"),
        ([("file", ("a.pdf", b"x")), ("who", (None, "me"))], "who"),
    ],
)
def test_a_wrong_part_is_named(client: TestClient, files: list[Any], where: str) -> None:
    response = client.post("/upload?modelName=a", files=files)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["where"] == where


@pytest.mark.parametrize("size", [5_001, 100_000])
def test_a_file_over_its_bound_is_refused(client: TestClient, size: int) -> None:
    response = client.post("/upload?modelName=a", files={"file": ("a.pdf", b"x" * size)})
    assert response.status_code == 413


def test_the_texts_beside_a_file_have_one_bound_together(client: TestClient) -> None:
    file = ("file", ("a.pdf", b"x"))
    texts = [(f"text{number}", (None, "a" * 4000)) for number in range(6)]
    assert client.post("/upload?modelName=a", files=[file, *texts[:4]]).status_code == 422
    answer = client.post("/upload?modelName=a", files=[file, *texts])
    assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 20_000)
    assert "text fields" in answer.json()["detail"]


def test_a_file_route_wants_multipart(client: TestClient) -> None:
    assert client.post("/upload", json={"modelName": "a"}).status_code == 415


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"--b\r\n", 400),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disp", 400),
        ("multipart/form-data; boundary=b", b"nonsense", 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xe9.pdf"\r\n\r\nx\r\n--b--\r\n',
            422,
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="modelName"\r\n\r\n\xe9\r\n--b--\r\n',
            422,
        ),
    ],
)
def test_a_broken_multipart_body_is_refused(
    client: TestClient, content_type: str, body: bytes, status: int
) -> None:
    response = client.post("/upload", content=body, headers={"content-type": content_type})
    assert response.status_code == status, response.text


EMPTY = Order(modelName="ada").model_dump(mode="json", by_alias=True)
BODY = json.dumps({"modelName": "ada", "steps": 9})


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_json_is_understood_where_nobody_says_that_it_is(
    client: TestClient, media_type: str
) -> None:
    headers = {"content-type": media_type} if media_type else {}
    response = client.post("/order", content=f" {BODY}", headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["steps"] == 9


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
    ],
)
def test_a_compressed_body_is_read(
    client: TestClient, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    response = client.post("/order", content=pack(BODY.encode()), headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["steps"] == 9


def test_a_compressed_upload_is_read(client: TestClient) -> None:
    plain = client.build_request("POST", "/upload?modelName=a", files={"file": ("a.pdf", b"x" * 9)})
    response = client.post(
        plain.url,
        content=gzip.compress(plain.read()),
        headers={"content-type": plain.headers["content-type"], "content-encoding": "gzip"},
    )
    assert response.json()["files"] == {"file": ["a.pdf", 9]}


@pytest.mark.parametrize("size", [0, 2**16 - 1, 2**16, 2**17])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_body_may_have_any_size(size: int, pack: Callable[[bytes], bytes]) -> None:
    async def whole(content: bytes) -> bytes:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        return b"".join([piece async for piece in unpacked(chunks(), 10**6)])

    plain = b"x" * size
    assert asyncio.run(whole(pack(plain))) == plain


def test_no_body_is_none_whatever_its_encoding_is_said_to_be(client: TestClient) -> None:
    answer = client.post("/order?modelName=ada", headers={"content-encoding": "gzip"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("br", BODY.encode(), 415),
        ("gzip, br", BODY.encode(), 415),
        ("gzip", BODY.encode(), 400),
        ("gzip", gzip.compress(BODY.encode())[:-9], 400),
        ("gzip", gzip.compress(b" " * 20_001), 413),
        ("gzip", gzip.compress(b" " * 15_000) * 2, 413),
        ("gzip", gzip.compress(b" " * 50_000_000), 413),
    ],
    ids=["unknown", "two", "plain", "cut off", "too large", "twice", "bomb"],
)
def test_a_compressed_body_has_the_bounds_of_a_plain_one(
    client: TestClient, encoding: str, content: bytes, status: int
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    response = client.post("/order", content=content, headers=headers)
    assert response.status_code == status, response.text
    assert status != 415 or "Content-Encoding" in response.json()["detail"]


@pytest.mark.parametrize("source", ["params", "data", "files", "json"])
def test_empty_fields_are_as_left_out(client: TestClient, source: str) -> None:
    fields = {"modelName": "ada", "lr": "", "steps": "", "fast": "", "inner": "", "tags": ""}
    values: Any = fields
    if source == "files":
        values = [(name, (None, text)) for name, text in fields.items()]
    response = client.post("/order", **{source: values})
    assert response.status_code == 200, response.text
    assert response.json() == EMPTY


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_white_space_is_no_number(client: TestClient, source: str) -> None:
    fields = {"modelName": "ada", "lr": " ", "steps": "\t", "fast": " ", "inner": "\n"}
    response = client.post("/order", **{source: fields})  # type: ignore[arg-type]
    assert response.status_code == 200, response.text
    assert response.json() == EMPTY


def test_what_is_empty_inside_a_value_is_as_left_out(client: TestClient) -> None:
    value = {"modelName": "ada", "tags": ["", "a"], "inner": {"temperature": ""}}
    response = client.post("/order", json=value)
    assert response.status_code == 200, response.text
    assert response.json() == {**EMPTY, "tags": ["a"]}
    written = client.post("/order", data={"modelName": "ada", "inner": '{"temperature": ""}'})
    assert written.json() == EMPTY


def test_a_field_may_say_that_an_empty_text_counts() -> None:
    class Letter(BaseModel):
        greeting: str | None = Field(None, min_length=0)

    fields = RequestFields(Letter)
    assert fields.parse([], {"greeting": ""}).greeting == ""
    assert fields.parse([[("greeting", "")]], {}).greeting is None


def test_null_is_as_left_out(client: TestClient) -> None:
    nothing = dict.fromkeys(("lr", "learning_rate", "steps", "fast", "inner", "tags"))
    response = client.post("/order", json={"modelName": "ada", **nothing})
    assert response.status_code == 200, response.text
    assert response.json() == EMPTY
    twice = client.post("/order?steps=9", json={"modelName": "ada", "steps": None})
    assert twice.json()["steps"] == 9


@pytest.mark.parametrize(
    "sent",
    [{"json": {"modelName": None}}, {"data": {"modelName": ""}}],
)
def test_nothing_for_a_required_field_is_as_left_out(
    client: TestClient, sent: dict[str, Any]
) -> None:
    problem = client.post("/order", **sent).json()
    assert problem["errors"] == [{"where": "modelName", "reason": "Required, but not given."}]


def test_an_unknown_field_is_met_with_those_that_are_known(client: TestClient) -> None:
    outer = client.post("/order", json={"modelName": "a", "top": 1}).json()
    assert outer["detail"] == (
        "top: Unknown. Known are: modelName, tags, learning_rate, steps, fast, inner."
    )
    for typed, meant in (("model", "modelName"), ("lernrate", "learning_rate"), ("ste", "steps")):
        near = client.post("/order", json={"modelName": "a", typed: 1}).json()
        assert f"{typed}: Unknown. Did you mean {meant}? Known are" in near["detail"]
    inner = client.post("/order", json={"modelName": "a", "inner": {"heat": 1}}).json()
    assert inner["detail"] == "inner.heat: Unknown. Use temperature. Known are: temperature."


@pytest.mark.parametrize(
    "part", [("", b""), (None, b"")], ids=["a form's empty file", "an empty text"]
)
def test_an_empty_part_is_a_file_that_nobody_chose(client: TestClient, part: Any) -> None:
    optional = [("file", ("a.pdf", b"x")), ("more", part)]
    response = client.post("/upload?modelName=a", files=optional)
    assert response.json()["files"] == {"file": ["a.pdf", 1]}
    required = client.post("/upload?modelName=a", files=[("file", part), ("more", ("b", b"x"))])
    assert required.status_code == 422
    assert required.json()["errors"][0]["where"] == "file"


@pytest.mark.parametrize("name", ["document", "files", "pdf"])
def test_a_part_of_another_name_is_told_which_there_are(client: TestClient, name: str) -> None:
    problem = client.post("/upload?modelName=a", files={name: ("a.pdf", b"x")}).json()
    assert problem["detail"] == f"{name}: There is no such file part. Known are: file, more."


def test_where_no_file_is_taken_a_file_is_refused(client: TestClient) -> None:
    problem = client.post("/order?modelName=a", files={"file": ("a.pdf", b"x")}).json()
    assert problem["detail"] == "file: No file is taken here."


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (
            """name=file; filename="=?utf-8?B?w5xiZXIgdW5zLnBkZg==?="; filename*=utf-8''%C3%9Cber%20uns.pdf""",
            "Über uns.pdf",
        ),
        ("""name=file; filename="=?utf-8?B?w5xiZXIgdW5zLnBkZg==?=\"""", "Über uns.pdf"),
        ("""name=file; filename="=?iso-8859-1?Q?=DCber_uns.pdf?=\"""", "Über uns.pdf"),
        ("""name="file"; filename*=UTF-8'de'%C3%9Cber%20uns.pdf""", "Über uns.pdf"),
        ("""name="file"; filename="Über uns.pdf\"""", "Über uns.pdf"),
        ("""name="file"; filename="=?odd?.pdf\"""", "=?odd?.pdf"),
    ],
)
def test_a_file_has_the_name_that_its_sender_means(
    client: TestClient, disposition: str, name: str
) -> None:
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    response = client.post(
        "/upload?modelName=a",
        content=head.encode() + b"x\r\n--b--\r\n",
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert response.json()["files"] == {"file": [name, 1]}


@pytest.mark.parametrize(
    "disposition",
    [
        "name=file; filename*=utf-8''%DCber.pdf",
        "name=file; filename*=klingon''%DCber.pdf",
        'name=file; filename="=?utf-8?B?3A==?="',
        'name=file; filename="=?klingon?B?3A==?="',
        "name=file; filename*=utf-7''+2AA-",
        "name=file; filename*=unicode_escape''%5Cud800",
        'name=file; filename="=?unicode_escape?q?=5Cud800?="',
    ],
)
def test_a_file_name_that_cannot_be_decoded_is_refused(
    client: TestClient, disposition: str
) -> None:
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    response = client.post(
        "/upload?modelName=a",
        content=head.encode() + b"x\r\n--b--\r\n",
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "filename"


def test_openapi_asks_for_each_field_once_in_the_query(app: FastAPI) -> None:
    order = app.openapi()["paths"]["/order"]["post"]
    assert "requestBody" not in order
    model, tags, rate, steps, fast, inner = order["parameters"]
    assert (model["name"], model["in"], model["required"]) == ("modelName", "query", True)
    assert model["description"] == "Which model."
    assert tags["schema"] == {"type": "array", "items": {"type": "string"}}
    assert rate["name"] == "learning_rate"
    assert rate["schema"] == {"type": "number", "minimum": 0, "maximum": 1}
    assert rate["required"] is False
    assert steps["schema"] == {"type": "integer"}
    assert steps["description"] == "Default: `3`."
    assert fast["description"] == "Default: `false`."
    assert inner["schema"] == {"type": "string"}
    assert inner["description"] == "A JSON object with `temperature`."


class Talk(BaseModel):
    turns: tuple[Inner, ...] | None = None


def test_a_list_of_objects_is_json_in_a_query_too() -> None:
    fields = RequestFields(Talk)
    text = '[{"temperature": 0.5}, {"temperature": null}]'
    expected = Talk(turns=(Inner(temperature=0.5), Inner()))
    assert fields.parse([[("turns", text)]], {}) == expected
    assert fields.parse([[("turns", "")]], {"turns": json.loads(text)}) == expected
    with pytest.raises(RequestValidationError):
        fields.parse([[("turns", "temperature")]], {})
    [turns] = documented(Talk)["parameters"]
    assert turns["schema"] == {"type": "string"}
    assert turns["description"] == "A JSON list of objects with `temperature`."


def test_openapi_asks_for_each_field_once_beside_the_files(app: FastAPI) -> None:
    upload = app.openapi()["paths"]["/upload"]["post"]
    assert "parameters" not in upload
    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"] == {
        "type": "string",
        "format": "binary",
        "description": "A file.",
    }
    assert form["required"] == ["file", "modelName"]
    assert list(form["properties"])[:2] == ["file", "modelName"]
    assert form["properties"]["steps"] == {
        "type": "integer",
        "description": "Default: `3`.",
        "examples": [""],
    }
