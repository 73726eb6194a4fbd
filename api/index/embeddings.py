"""Texts to vectors: which embedding model, what stands around its texts, how long they may be and how they count."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from api.errors import ModelNotFound, NotReady
from api.index.families import PLAIN, TEXT, Family, Templates, family_of, filled
from api.runtime import ModelInfo, ModelRuntime

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimension), each row of length 1."""

BATCH = 16
LABEL_CHARACTERS = 60
"""What is read of a document's name and of a heading when a chunk is embedded."""
MARKS = 8
"""Tokens that a model may put around a text."""
LONGEST = 2048
"""Tokens of a chunk for which one vector still says enough, whatever the model reads."""
DIGEST_CHARACTERS = 12
_VERSION = re.compile(r"(.*):(\d+)(?:@([^@+]*))?(?:\+(\w+))?", re.DOTALL)


class Embedder:
    """One embedding model of the runtime. Others may replace it there at any time: who has not asked the runtime for
    any model just now begins with `look_again`.
    """

    def __init__(
        self,
        runtime: ModelRuntime,
        model: str,
        *,
        query: str | None = None,
        passage: str | None = None,
        length: int | None = None,
    ) -> None:
        """The templates of `query` and `passage`, and the `length` of a chunk, are its family's when left out."""
        self._runtime = runtime
        self._found: ModelInfo | None = None
        self._dimensions: dict[str, int] = {}
        self._around: dict[tuple[str, str], int] = {}
        self._said = (query, passage)
        self._length = length
        self.model = model

    def named(self, model: str, query: str | None = None, passage: str | None = None) -> "Embedder":
        """Another model of the same runtime, used as its family is or with these templates."""
        return Embedder(self._runtime, model, query=query, passage=passage)

    def used(self, query: str | None, passage: str | None) -> "Embedder":
        """This model with these templates."""
        return Embedder(
            self._runtime, self.model, query=query, passage=passage, length=self._length
        )

    def look_again(self) -> None:
        """Ask the runtime for the model as it is now, when it is used next."""
        self._found = None

    async def version(self) -> str:
        """What vectors are compared under: name, dimension, the digest of the weights, and that of what stands around
        a passage, like `all-minilm-l6-v2:384@797b70c4edf8`. Different versions never meet.
        """
        digest = await self.digest()
        if digest not in self._dimensions:
            return (await self.embed_passages(["dimension"]))[1]
        return self._version(digest, await self.templates())

    async def digest(self) -> str:
        """Of the model's weights; empty when the runtime does not know it."""
        with self._there():
            return (await self._model()).digest[:DIGEST_CHARACTERS]

    async def family(self) -> Family | None:
        """The family that the model is known to be of."""
        with self._there():
            model = await self._model()
        return family_of((self.model, model.title), model.architecture)

    async def templates(self) -> Templates:
        """What stands around a question and around a passage."""
        query, passage = self._said
        if query is not None and passage is not None:
            return Templates(query, passage)
        family = await self.family()
        usual = family.templates if family else PLAIN
        return Templates(query or usual.query, passage or usual.passage)

    async def described(self) -> str:
        """How it is used, in a line for the operator; nothing is loaded for it."""
        family, templates = await self.family(), await self.templates()
        known = f"as {family.name}" if family else "of a family that is not known"
        return (
            f"{self.model}, {known}: questions as {templates.query!r}, passages as {templates.passage!r}, "
            f"at most {self._reads_well(family)} tokens of a chunk"
        )

    async def embed_passages(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """What is searched: one vector a text, of one text or more, and the version that made them.

        A text that the model cannot read whole is an error, never cut.
        """
        templates = await self.templates()
        return await self._embed([filled(templates.passage, text) for text in texts], templates)

    async def embed_queries(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """What is searched for, in the same way."""
        templates = await self.templates()
        return await self._embed([filled(templates.query, text) for text in texts], templates)

    async def _embed(self, texts: Sequence[str], templates: Templates) -> tuple[Vectors, str]:
        rows: list[list[float]] = []
        with self._there():
            model = await self._model()
            while len(rows) < len(texts):
                rows += await self._runtime.embed(model, texts[len(rows) : len(rows) + BATCH])
                if len(rows) < len(texts) and (now := await self._model()).digest != model.digest:
                    model, rows = now, []  # replaced meanwhile
        vectors = np.array(rows, dtype=np.float32)
        digest = model.digest[:DIGEST_CHARACTERS]
        self._dimensions[digest] = vectors.shape[1]
        return vectors, self._version(digest, templates)

    def _version(self, digest: str, templates: Templates) -> str:
        return versioned(self.model, self._dimensions[digest], digest, marked(templates.passage))

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text for this model."""
        with self._there():
            return await self._runtime.tokenize_lengths(await self._model(), texts)

    async def longest_chunk(self) -> int:
        """Tokens that a chunk may have to be embedded whole and read well, its labels included."""
        self.look_again()
        most = self._reads_well(await self.family())
        return max(16, min(await self.longest() - 2 * LABEL_CHARACTERS, most))

    def _reads_well(self, family: Family | None) -> int:
        return self._length or min(family.length if family else LONGEST, LONGEST)

    async def longest(self) -> int:
        """Tokens of the longest text that the model reads whole, without the marks and the words around it."""
        templates = await self.templates()
        with self._there():
            model = await self._model()
        around = [await self._tokens_around(model, template) for template in templates]
        return model.context_length - MARKS - max(around)

    async def _tokens_around(self, model: ModelInfo, template: str) -> int:
        if template == TEXT:
            return 0
        key = (model.digest, template)
        if key not in self._around:
            self._around[key] = (await self.lengths([filled(template, "")]))[0]
        return self._around[key]

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


def marked(passage: str) -> str:
    """What a version says of the template of its passages; nothing of one that adds nothing."""
    return "" if passage == TEXT else sha256(passage.encode()).hexdigest()[:6]


def versioned(model: str, dimension: int, digest: str, mark: str = "") -> str:
    """A version out of its parts."""
    named = f"{model}:{dimension}@{digest}" if digest else f"{model}:{dimension}"
    return f"{named}+{mark}" if mark else named


def parts_of(version: str) -> tuple[str, int, str, str]:
    """Model, dimension, digest and mark of a version."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ValueError(version)
    model, dimension, digest, mark = found.groups(default="")
    return model, int(dimension), digest, mark
