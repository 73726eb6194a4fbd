"""Whether a GGUF file has the vocabulary, the marks and the chat template of the training: all of them, not samples."""

import json
from typing import Any

from transformers import PreTrainedTokenizerBase

from finetune.bases.sentencepiece import SPACE
from finetune.bases.vocabulary import Marks
from finetune.checks.verdict import Refused
from finetune.gguf_file import Contents

NORMAL, CONTROL, BYTE = 1, 3, 6
"""llama.cpp's numbers of token types."""
MAY_DIFFER = ("GGUF.", "general.file_type", "general.quantization_version", "quantize.")
"""What quantizing may change or add in a file's header."""


def check_template(tokenizer: PreTrainedTokenizerBase, file: Contents) -> None:
    """The very text. Raises `Refused`."""
    ours, theirs = str(tokenizer.chat_template), file.field("tokenizer.chat_template")
    if theirs is None:
        raise Refused("The GGUF has no chat template", "The training had one; the file has none.")
    if ours != theirs:
        place = next(
            (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
            min(len(ours), len(theirs)),
        )
        raise Refused(
            "The GGUF has another chat template",
            f"From character {place} on it is {theirs[place : place + 60]!r} and was "
            f"{ours[place : place + 60]!r} in the training.",
        )


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, file: Contents) -> int:
    """Each token by its number, and how it is cut out of a text. Raises `Refused`; returns how many there are."""
    ours = {number: token for token, number in tokenizer.get_vocab().items()}
    theirs, types = file.field("tokenizer.ggml.tokens"), file.field("tokenizer.ggml.token_type")
    if theirs is None or types is None or len(theirs) <= max(ours):
        raise Refused(
            "The GGUF has lost tokens",
            f"The training had {max(ours) + 1} tokens, the file has {len(theirs or [])}.",
        )
    added = tokenizer.added_tokens_decoder
    other = [
        number
        for number, token in ours.items()
        # the converter writes the spaces of an added token as such
        if theirs[number] != (token.replace(SPACE, " ") if number in added else token)
        and theirs[number] != token
    ]
    if other:
        first = min(other)
        raise Refused(
            "The GGUF has another vocabulary",
            f"Token {first} is {theirs[first]!r} and was {ours[first]!r} in the training; {len(other)} of {len(ours)} "
            "tokens differ.",
        )
    for number, token in tokenizer.added_tokens_decoder.items():
        if types[number] in (NORMAL, BYTE) or (token.special and types[number] not in (2, CONTROL)):
            raise Refused(
                "The GGUF has lost a mark",
                f"Token {number}, {token.content!r}, is a mark of the tokenizer; in the file it is plain text "
                f"(type {types[number]}).",
            )
    _check_cutting(tokenizer, file, theirs)
    return len(ours)


def _check_cutting(tokenizer: Any, file: Contents, tokens: list[str]) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", [])]
    merges = file.field("tokenizer.ggml.merges")
    if merges is not None:
        ours = [" ".join(part.replace(" ", "\u0120") for part in pair) for pair in pairs]
        if ours != list(merges):
            place = next(
                (n for n, (a, b) in enumerate(zip(ours, merges, strict=False)) if a != b),
                min(len(ours), len(merges)),
            )
            raise Refused(
                "The GGUF cuts text into other tokens",
                f"Rule {place} of {len(ours)} that joins tokens differs: {merges[place : place + 1]} and was "
                f"{ours[place : place + 1]} in the training.",
            )
    scores = file.field("tokenizer.ggml.scores")
    if scores is None or merges is not None or not pairs:
        return
    score = dict(zip(tokens, scores, strict=True))
    order = [score.get("".join(pair), 0.0) for pair in pairs]
    worse = next((n for n in range(1, len(order)) if order[n] > order[n - 1]), None)
    if worse is not None:
        raise Refused(
            "The GGUF cuts text into other tokens",
            f"Token {''.join(pairs[worse])!r} has the score {order[worse]}, before {''.join(pairs[worse - 1])!r} with "
            f"{order[worse - 1]}; in the training it came behind it.",
        )


def check_marks(tokenizer: PreTrainedTokenizerBase, marks: Marks, file: Contents) -> None:
    """Where prompts begin and answers end. Raises `Refused`."""
    for name, ours in (
        ("tokenizer.ggml.add_bos_token", marks.begins),
        ("tokenizer.ggml.bos_token_id", tokenizer.bos_token_id if marks.begins else None),
        ("tokenizer.ggml.eos_token_id", marks.end),
    ):
        theirs = file.field(name)
        if ours is not None and theirs != ours:
            raise Refused(
                "The GGUF has other marks",
                f"{name.rpartition('.')[2]} is {theirs} and was {ours} in the training.",
            )


def check_header(exact: Contents, quantized: Contents) -> None:
    """A quantized file says of itself what the F16 file says. Raises `Refused`."""
    for name in [*exact.names, *quantized.names]:
        if not name.startswith(MAY_DIFFER) and exact.field(name) != quantized.field(name):
            ours, theirs = str(exact.field(name)), str(quantized.field(name))
            raise Refused(
                "The quantized GGUF says something else of itself",
                f"{name} is {theirs[:100]} and {ours[:100]} in the F16 file.",
            )


def check_tensors(exact: Contents, quantized: Contents) -> None:
    """Both files hold the same tensors, whatever is in them. Raises `Refused`."""
    shapes = [{t.name: t.shape for t in file.tensors.values()} for file in (exact, quantized)]
    if shapes[0] != shapes[1]:
        other = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[0]
        raise Refused(
            "The quantized GGUF has other tensors",
            f"{other[0]}, {other[1]}, is in one of both files alone.",
        )
