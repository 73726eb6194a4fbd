"""What was embedded once is not embedded again: a vector is known by the text that it was made of."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from anyio.to_thread import run_sync

from api.index.embeddings import Embedder, Vectors
from api.store import Store


async def embed(
    store: Store, embedder: Embedder, texts: Sequence[str]
) -> tuple[Vectors, str, list[bytes]]:
    """One vector a passage, the version that made them, and the hash of each text; embeds what is not in the store."""
    hashes = [blake2b(text.encode(errors="replace"), digest_size=16).digest() for text in texts]
    embedder.look_again()
    version = await embedder.version()
    known = await run_sync(store.vectors.of_texts, hashes, version)
    new = {one: text for one, text in zip(hashes, texts, strict=True) if one not in known}
    if new:
        vectors, made_by = await embedder.embed_passages(list(new.values()))
        if made_by != version:  # the model was replaced meanwhile
            return await embed(store, embedder, texts)
        known |= dict(zip(new, vectors.astype(np.float16), strict=True))
    return np.stack([known[one] for one in hashes]).astype(np.float32), version, hashes
