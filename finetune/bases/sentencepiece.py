"""SentencePiece's `tokenizer.model` and Hugging Face's `tokenizer.json`, each made of the other where one is missing.

Training reads the second, llama.cpp's converter the first; both are BPE over the same pieces.
"""

from pathlib import Path
from typing import Any

from tokenizers import normalizers

from finetune.job.stage import StageFailed

SPACE = "\u2581"
_BPE = 2
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)


def is_sentencepiece(tokenizer: dict[str, Any]) -> bool:
    """Whether a tokenizer.json has the form of a SentencePiece BPE: it falls back to bytes and marks spaces."""
    model = tokenizer.get("model") or {}
    return model.get("type") == "BPE" and bool(model.get("byte_fallback"))


def as_sentencepiece(tokenizer: Any) -> None:
    """Put a space before every text and keep the spaces it begins with, as SentencePiece and llama.cpp do.

    Newer files do so by a step of their own (`Metaspace`), which puts none before the text behind a mark and none
    where there is one.
    """
    cut = tokenizer.pre_tokenizer
    if type(cut).__name__ != "Metaspace" or not getattr(tokenizer.model, "byte_fallback", False):
        return
    steps = [] if cut.prepend_scheme == "never" else [normalizers.Prepend(SPACE)]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])
    tokenizer.pre_tokenizer = None


def tokenizer_of(model_file: Path, add_bos: bool, more: dict[str, int]) -> dict[str, Any]:
    """The tokenizer.json that cuts text as this tokenizer.model does; `more` are tokens added to it. Raises
    `StageFailed`.
    """
    proto = _proto()
    try:
        proto.ParseFromString(model_file.read_bytes())
    except (OSError, ValueError, RuntimeError) as error:  # protobuf's own error is a ValueError
        raise StageFailed("Tokenizer unusable", f"{model_file.name}: {error}") from error
    if proto.trainer_spec.model_type != _BPE:
        raise StageFailed(
            "Tokenizer unusable",
            f"{model_file.name} is no BPE. Take a folder of the model that holds tokenizer.json.",
        )
    vocabulary = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type == _NORMAL}
    special = {piece.piece for piece in proto.pieces if piece.type in (_UNKNOWN, _CONTROL)}
    known = [
        piece.piece for piece in proto.pieces if piece.type in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    ]
    unknown = next((p.piece for p in proto.pieces if p.type == _UNKNOWN), None)
    prefix = (
        [{"type": "Prepend", "prepend": SPACE}] if proto.normalizer_spec.add_dummy_prefix else []
    )
    replaced = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    begin = next((p.piece for p in proto.pieces if p.type == _CONTROL), None) if add_bos else None
    added = [_added(vocabulary[token], token, token in special) for token in known]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added + [_added(number, token, False) for token, number in more.items()],
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, replaced]},
        "pre_tokenizer": None,
        "post_processor": _begins_with(begin, vocabulary) if begin else None,
        "decoder": _decoder(bool(prefix)),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": any(piece.type == _BYTE for piece in proto.pieces),
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": _merges(vocabulary, scores),
        },
    }


def model_of(tokenizer: dict[str, Any]) -> bytes:
    """The tokenizer.model that cuts text as this tokenizer.json does: a piece's score is the rank of its merge."""
    model = tokenizer["model"]
    added = {token["content"]: bool(token["special"]) for token in tokenizer["added_tokens"]}
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(model["merges"]):
        left, right = pair.split(" ") if isinstance(pair, str) else pair
        ranks.setdefault(left + right, rank)
    tokens = {number: token for token, number in model["vocab"].items()}
    proto = _proto()
    for number in range(max(tokens) + 1):
        piece = proto.pieces.add()
        piece.piece = tokens.get(number, f"[PAD{number}]")
        piece.score = -float(ranks.get(piece.piece, 0))
        piece.type = _type_of(piece.piece, number in tokens, model.get("unk_token"), added)
    proto.trainer_spec.model_type = _BPE
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    written: bytes = proto.SerializeToString()
    return written


def _proto() -> Any:
    from sentencepiece import sentencepiece_model_pb2

    messages: Any = sentencepiece_model_pb2
    return messages.ModelProto()


def _type_of(token: str, is_there: bool, unknown: str | None, added: dict[str, bool]) -> int:
    if not is_there:
        return _UNUSED
    if token == unknown:
        return _UNKNOWN
    if token in added:
        return _CONTROL if added[token] else _USER_DEFINED
    return _BYTE if len(token) == 6 and token.startswith("<0x") else _NORMAL


def _merges(vocabulary: dict[str, int], scores: dict[str, float]) -> list[list[str]]:
    """Every way to put a piece together of two others, the best-scored piece first."""
    found = []
    for piece, score in scores.items():
        pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        found += [
            (-score, vocabulary[piece], vocabulary[a], vocabulary[b], [a, b]) for a, b in known
        ]
    return [pair for *_, pair in sorted(found, key=lambda one: one[:4])]


def _added(number: int, token: str, special: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": token, **plain, "special": special}


def _begins_with(token: str, vocabulary: dict[str, int]) -> dict[str, Any]:
    begin = {"SpecialToken": {"id": token, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in ("A", "B"))
    return {
        "type": "TemplateProcessing",
        "single": [begin, first],
        "pair": [begin, first, begin, second],
        "special_tokens": {token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]}},
    }


def _decoder(prefix: bool) -> dict[str, Any]:
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    spaces = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    return {
        "type": "Sequence",
        "decoders": [spaces, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip],
    }
