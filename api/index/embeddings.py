"""Texts to vectors: which embedding model, how long its texts may be, and how they are counted."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from api.errors import ModelNotFound, NotReady
from api.runtime import ModelInfo, ModelRuntime

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimension), each row of length 1."""

BATCH = 16
LABEL_CHARACTERS = 60
"""What is read of a document's name and of a heading when a chunk is embedded."""
MARKS = 8
"""Tokens that a model may put around a text."""
DIGEST_CHARACTERS = 12


class Embedder:
    """One embedding model of the runtime. Others may replace it there at any time: who has not asked the runtime for
    any model just now begins with `look_again`.
    """

    def __init__(self, runtime: ModelRuntime, model: str) -> None:
        self._runtime = runtime
        self._found: ModelInfo | None = None
        self._dimensions: dict[str, int] = {}
        self.model = model

    def named(self, model: str) -> "Embedder":
        """Another model of the same runtime."""
        return Embedder(self._runtime, model)

    def look_again(self) -> None:
        """Ask the runtime for the model as it is now, when it is used next."""
        self._found = None

    async def version(self) -> str:
        """What vectors are compared under: name, dimension and the digest of the weights, like
        `all-minilm-l6-v2:384@797b70c4edf8`. Different versions never meet.
        """
        digest = await self.digest()
        if digest not in self._dimensions:
            return (await self.embed_passages(["dimension"]))[1]
        return versioned(self.model, self._dimensions[digest], digest)

    async def digest(self) -> str:
        """Of the model's weights; empty when the runtime does not know it."""
        with self._there():
            return (await self._model()).digest[:DIGEST_CHARACTERS]

    async def embed_passages(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """What is searched: one vector a text, of one text or more, and the version that made them.

        A text that the model cannot read whole is an error, never cut.
        """
        return await self._embed(texts)

    async def embed_queries(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """What is searched for, in the same way."""
        return await self._embed(texts)

    async def _embed(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        rows: list[list[float]] = []
        with self._there():
            model = await self._model()
            for start in range(0, len(texts), BATCH):
                rows += await self._runtime.embed(model, texts[start : start + BATCH])
        vectors = np.array(rows, dtype=np.float32)
        digest = model.digest[:DIGEST_CHARACTERS]
        self._dimensions[digest] = vectors.shape[1]
        return vectors, versioned(self.model, vectors.shape[1], digest)

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text for this model."""
        with self._there():
            return await self._runtime.tokenize_lengths(await self._model(), texts)

    async def longest_chunk(self) -> int:
        """Tokens that a chunk may have to be embedded whole, its labels included."""
        self.look_again()
        return max(16, await self.longest() - 2 * LABEL_CHARACTERS)

    async def longest(self) -> int:
        """Tokens of the longest text that the model reads whole, without the marks that it puts around it."""
        with self._there():
            return (await self._model()).context_length - MARKS

    async def _model(self) -> ModelInfo:
        """The model as it was found last, unless the runtime has heard since that it changed."""
        self._found = await self._runtime.show(self._found or self.model)
        return self._found

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except ModelNotFound as error:  # the caller has named another model, and that one is there
            raise NotReady(
                f"The embedding model {self.model!r} is not there (yet). "
                "LLM_FASTAPI_EMBEDDING_MODEL, or the collection, names it."
            ) from error


def versioned(model: str, dimension: int, digest: str) -> str:
    """A version out of its parts."""
    return f"{model}:{dimension}@{digest}" if digest else f"{model}:{dimension}"


def parts_of(version: str) -> tuple[str, int, str]:
    """Model, dimension and digest of a version."""
    named, _, digest = version.partition("@")
    model, _, dimension = named.rpartition(":")
    return model, int(dimension), digest
