"""POST /v1/embeddings: one vector a text."""

import base64
import json
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from api.errors import Unusable
from api.http.observe import seen
from api.http.openai_errors import PREFIX
from api.http.request import ServicesDep
from api.http.sse import while_connected
from api.models.embedding import Embedded, embed
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import json_body, refuse

router = APIRouter(prefix=PREFIX + "/embeddings")

MAX_INPUTS = 2048
MAX_DIMENSIONS = 100_000
Tokens = Annotated[list[int], Field(fail_fast=True)]


class EmbeddingsRequest(BaseModel):
    """Texts, the model, and how their vectors are written: as numbers, or as base64 of little-endian float32."""

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    input: (
        str
        | Annotated[
            list[str | int | Tokens], Field(fail_fast=True, min_length=1, max_length=MAX_INPUTS)
        ]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, le=MAX_DIMENSIONS)

    def texts(self) -> list[str]:
        """The texts; token ids are those of another model's tokenizer and are refused."""
        given = [self.input] if isinstance(self.input, str) else self.input
        texts: list[str] = []
        for number, one in enumerate(given):
            if not isinstance(one, str):
                raise refuse(
                    "input",
                    "Token ids mean nothing to this model: send texts. With LangChain's OpenAIEmbeddings set "
                    "check_embedding_ctx_length=False.",
                )
            if not one.strip():
                where = "input" if isinstance(self.input, str) else f"input.{number}"
                raise refuse(where, "Nothing but white space has no vector.")
            texts.append(one)
        return texts


@router.post("", operation_id="createEmbedding")
async def create(
    http: Request,
    request: Annotated[EmbeddingsRequest, Depends(json_body(EmbeddingsRequest))],
    services: ServicesDep,
) -> Response:
    """Vectors of length 1, in the order of their texts."""
    texts = request.texts()
    model = await services.models.embedding_model(request.model)
    seen().model = model.name
    work = embed(services.runtime, model, texts, request.dimensions)
    try:
        embedded = await while_connected(http, work)
    except Unusable as error:  # a text that is longer than what the model reads
        if "index" not in error.extra:
            raise
        raise Unusable(
            error.detail, where=f"input.{error.extra['index']}", code="context_length_exceeded"
        ) from error
    seen().add_tokens(embedded.tokens, 0)
    return await run_sync(_answer, model.name, embedded, request.encoding_format)


def _answer(model: str, embedded: Embedded, form: str) -> Response:
    """Written beside the event loop, a vector at a time: two million numbers at once let nothing else run."""
    data = b",".join(_item(*one, form) for one in enumerate(embedded.vectors))
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    begin, end = _json({"object": "list", "model": model})[:-1], _json({"usage": usage})[1:]
    content = b"".join((begin, b',"data":[', data, b"],", end))
    return Response(content, media_type="application/json")


def _item(number: int, vector: npt.NDArray[np.float32], form: str) -> bytes:
    return _json({"object": "embedding", "index": number, "embedding": _written(vector, form)})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _written(vector: npt.NDArray[np.float32], form: str) -> list[float] | str:
    if form == "float":
        numbers: list[float] = vector.tolist()
        return numbers
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
