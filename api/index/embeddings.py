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


class Embedder:
    """One embedding model of the runtime."""

    def __init__(self, runtime: ModelRuntime, model: str) -> None:
        self._runtime = runtime
        self._found: ModelInfo | None = None
        self.model = model

    def version(self, vectors: Vectors) -> str:
        """What vectors are compared under, like `all-minilm-l6-v2:384`; different versions never meet."""
        return f"{self.model}:{vectors.shape[1]}"

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text; a text that the model cannot read whole is an error, never cut."""
        rows: list[list[float]] = []
        with self._there():
            model = await self._model()
            for start in range(0, len(texts), BATCH):
                rows += await self._runtime.embed(model, texts[start : start + BATCH])
        return np.array(rows, dtype=np.float32)

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text for this model."""
        with self._there():
            return await self._runtime.tokenize_lengths(await self._model(), texts)

    async def longest(self) -> int:
        """Tokens that the model reads at once."""
        with self._there():
            return (await self._model()).context_length

    async def _model(self) -> ModelInfo:
        """The model as it is now; a runtime is asked again only when it has heard that it changed."""
        self._found = await self._runtime.show(self._found or self.model)
        return self._found

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except ModelNotFound as error:  # the caller has named another model, and that one is there
            raise NotReady(
                f"The embedding model {self.model!r} is not there (yet). "
                "LLM_FASTAPI_EMBEDDING_MODEL names it."
            ) from error
