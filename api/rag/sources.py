"""What a question is asked of: the documents of a scope, and which passages of theirs count."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from api.store.collections import Scope
from api.store.documents import Document


@dataclass(frozen=True, slots=True)
class Sources:
    """Some documents of a scope, all where that is None, also several collections'.

    An answer uses at most `most` passages of theirs (None: as the settings say), and only such as fit by `least`
    (0..1). `rerank`: a reranker may order them anew, where the settings name one.
    """

    scope: Scope
    documents: Sequence[Document] | None = field(default=None, repr=False)
    most: int | None = None
    least: float = 0.0
    rerank: bool = True
