"""Small vocabularies of our own in the forms that models come with, trained on the example rows in a second."""

import functools
import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

from tests.finetune.jobs import ROOT

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_2 = LLAMA_3.replace("{1,3}", "")
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
MARK = "\u2581"
SIZE = 640


@functools.cache
def corpus() -> list[str]:
    """Lines of the example rows, and of Python."""
    text = (ROOT / "examples" / "train.csv").read_text("utf-8")
    code = (ROOT / "finetune" / "tokenizer.py").read_text("utf-8")
    return [*text.splitlines()[:400], *code.splitlines()]


def byte_level(
    folder: Path,
    kind: str,
    marks: tuple[str, ...],
    begin: str | None = None,
    normal_form: bool = False,
    whole_words: bool = False,
) -> int:
    """Write tokenizer.json: a byte-level BPE that cuts text as `kind` does; its size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _cutter(kind)
    tokenizer.decoder = decoders.ByteLevel()
    if normal_form:
        tokenizer.normalizer = normalizers.NFC()
    trainer = BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(marks),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A",
            pair=f"{begin} $A {begin} $B",
            special_tokens=[(begin, tokenizer.token_to_id(begin))],
        )
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = whole_words
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return tokenizer.get_vocab_size()


def _cutter(kind: str) -> Any:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind == "gpt2":
        return byte_level
    if kind == "digits":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    split = pre_tokenizers.Split(
        Regex({"llama3": LLAMA_3, "qwen2": QWEN_2, "bloom": BLOOM}[kind]), "isolated"
    )
    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, bare])


def sentencepiece_model(
    folder: Path, marks: tuple[str, ...] = (), prefix: bool = True, gemma: bool = False
) -> None:
    """Write tokenizer.model: a BPE over pieces with `<unk> <s> </s>` first, as Llama 2's, or in Gemma's order."""
    numbers: dict[str, Any] = (
        {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "eos_piece": "<eos>"}
        if gemma
        else {"pad_id": -1, "unk_id": 0, "bos_id": 1, "eos_id": 2}
    )
    named: dict[str, Any] = {"bos_piece": "<bos>"} if gemma else {}
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=written,
        model_type="bpe",
        vocab_size=SIZE,
        byte_fallback=True,
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        split_digits=True,
        user_defined_symbols=list(marks),
        minloglevel=2,
        **numbers,
        **named,
    )
    (folder / "tokenizer.model").write_bytes(written.getvalue())


def of_sentencepiece(
    folder: Path, begin: str = "<s>", prefix: bool = True, metaspace: str | None = None
) -> int:
    """Write the tokenizer.json that belongs to tokenizer.model, as the hub's converters wrote it; its size."""
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromFile(str(folder / "tokenizer.model"))
    pieces = [processor.IdToPiece(number) for number in range(processor.vocab_size())]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    ranked = sorted(
        (n for n in range(len(pieces)) if not _is_mark(processor, n) and not processor.IsByte(n)),
        key=lambda n: -processor.GetScore(n),
    )
    merges = [
        (pieces[n][:cut], pieces[n][cut:])
        for n in ranked
        for cut in range(1, len(pieces[n]))
        if pieces[n][:cut] in vocabulary and pieces[n][cut:] in vocabulary
    ]
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True, dropout=None
        )
    )
    from tokenizers import AddedToken

    for number, piece in enumerate(pieces):
        if _is_mark(processor, number):
            tokenizer.add_special_tokens([AddedToken(piece, normalized=False, special=True)])
        elif not prefix and len(piece) > 1 and not piece.strip(MARK):  # Gemma's runs of spaces
            tokenizer.add_tokens([AddedToken(piece, normalized=False, special=False)])
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, metaspace, split=False)
    else:
        spaces = normalizers.Replace(" ", MARK)
        tokenizer.normalizer = (
            normalizers.Sequence([normalizers.Prepend(MARK), spaces]) if prefix else spaces
        )
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A",
        pair=f"{begin} $A {begin} $B",
        special_tokens=[(begin, vocabulary[begin])],
    )
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    return len(pieces)


def _is_mark(processor: Any, number: int) -> bool:
    user_defined = processor.IdToPiece(number).startswith("<") and processor.GetScore(number) == 0
    return bool(
        processor.IsControl(number)
        or processor.IsUnknown(number)
        or (user_defined and not processor.IsByte(number))
    )
