"""Tokens of texts without a call to Ollama, which has none that counts them.

Exact for WordPiece vocabularies (BERT and its kin: most embedding models), which the server shows whole; others are
estimated (`lengths.estimated`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

WORD_PIECE = "bert"
"""What GGUF calls such a vocabulary."""

Counter = Callable[[Sequence[str]], list[int]]
_WORD_START = "\u2581"


def word_pieces(model_info: Mapping[str, Any]) -> Counter:
    """The exact counter of a model, out of `/api/show` with `verbose`; special tokens are not counted."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = [_as_word_piece(token) for token in model_info["tokenizer.ggml.tokens"]]
    unknown = words[int(model_info.get("tokenizer.ggml.unknown_token_id", 100))]
    lowercase = bool(model_info.get("tokenizer.ggml.normalizer.lowercase", True))
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=2**20)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def count(texts: Sequence[str]) -> list[int]:
        whole = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in whole]

    return count


def _as_word_piece(token: str) -> str:
    """GGUF marks the pieces that begin a word; WordPiece marks the others."""
    if token.startswith(_WORD_START):
        return token.removeprefix(_WORD_START)
    return token if token.startswith("[") and token.endswith("]") else f"##{token}"
