"""What is embedded of a chunk."""

import re

from api.index.embeddings import LABEL_CHARACTERS
from api.index.following import name_in_words
from api.store.chunks import Chunk
from api.store.documents import Document

_WORD = re.compile(r"(?<!\w)[^\W\d_]{3,}(?!\w)")


def embedded_text(document: Document, chunk: Chunk) -> str:
    """What is embedded of a chunk: under its document's name and title and its heading, which tell it apart from chunks
    like it.
    """
    heading = chunk.heading if chunk.heading not in chunk.text else ""
    labels = [label[:LABEL_CHARACTERS] for label in (_said_of(document), heading) if label]
    return "\n".join([*labels, chunk.text])


def _said_of(document: Document) -> str:
    """Its name and its title, but not one that is a number or a hash where the other has words."""
    name = name_in_words(document)
    return " ".join(one for one in (name, document.title) if _WORD.search(one)) or name
