"""The demo model before training: its tokenizer, its shape, and weights that can already copy.

A small model with plain initial weights does not find out how to copy within hours; one that starts with induction
heads does from the first step. So two heads of the first layer look one and two tokens back, and two heads of every
later layer look for what followed the current token before.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from examples.recipe.samples import Conversations, Message
from examples.recipe.turns import said_in, with_tools

PAD, BOS, START, END = "<pad>", "<s>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 1536
HIDDEN, LAYERS, HEADS, FEED_FORWARD = 256, 6, 4, 512
HEAD = HIDDEN // HEADS
THETA = 10_000.0
CONTEXT = 4096

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja").read_text()


def make_tokenizer(seed: int, conversations: int = 12_000) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learned on the demo text; any UTF-8 text can be written with it."""

    def texts() -> Iterator[str]:
        draw = Conversations(f"tokenizer {seed}")
        for _ in range(conversations):
            for message in draw.draw(1.0).messages:
                # The served instructions would otherwise be merged into whole lines of their own.
                yield (
                    message["content"].split("say only: ")[-1]
                    if len(message["content"]) > 400
                    else message["content"]
                )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS} $B",
        special_tokens=[(BOS, tokenizer.token_to_id(BOS))],
    )
    made: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        add_bos_token=True,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    return made


def make_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The shape: sizes are multiples of 256, as the K-quants of llama.cpp want their rows."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_theta": THETA, "rope_type": "default"},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        attention_bias=False,
        mlp_bias=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="bfloat16",
    )


def rotary_frequencies() -> torch.Tensor:
    """How fast each pair of a head's dimensions turns, the fastest first."""
    half = HEAD // 2
    frequencies: torch.Tensor = THETA ** (-torch.arange(half) / half)
    return frequencies


def _rotate(vector: torch.Tensor, positions: int) -> torch.Tensor:
    """The vector of one head as the rotary embedding turns it at a position."""
    half = HEAD // 2
    angles: torch.Tensor = positions * rotary_frequencies()
    cos, sin = angles.cos(), angles.sin()
    first, second = vector[:half], vector[half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin))


def _orthonormal(rows: int, away_from: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(HIDDEN, rows, generator=generator)
    noise = noise - torch.outer(away_from, away_from @ noise)
    columns: torch.Tensor = torch.linalg.qr(noise)[0]
    return columns.T.contiguous()


def initial_weights(seed: int) -> dict[str, torch.Tensor]:
    """All weights by their names in transformers, with look-back and induction heads built in."""
    g = torch.Generator().manual_seed(seed)

    def noise(rows: int, columns: int) -> torch.Tensor:
        values: torch.Tensor = torch.randn(rows, columns, generator=g) / columns**0.5
        return values

    constant = torch.nn.functional.normalize(torch.randn(HIDDEN, generator=g), dim=0)
    identity = _orthonormal(HIDDEN - 1, constant, g)
    earlier = _orthonormal(2 * HEAD, constant, g)
    embedding = torch.randn(VOCABULARY, HIDDEN, generator=g)
    embedding = embedding - torch.outer(embedding @ constant, constant)
    weights = {"model.embed_tokens.weight": 0.1 * (embedding + HIDDEN**0.5 * constant)}
    fast = torch.zeros(HEAD)
    fast[:5] = 1.0
    fast = torch.nn.functional.normalize(fast, dim=0)
    slow = [*range(HEAD // 4, HEAD // 2), *range(HEAD // 2 + HEAD // 4, HEAD)]
    for layer in range(LAYERS):
        q, k, v = noise(HIDDEN, HIDDEN), noise(HIDDEN, HIDDEN), noise(HIDDEN, HIDDEN)
        o = torch.zeros(HIDDEN, HIDDEN)
        for head in (0, 1):
            rows = slice(head * HEAD, (head + 1) * HEAD)
            values = identity[rows]
            v[rows] = values
            if layer == 0:
                q[rows] = torch.outer(fast, constant)
                k[rows] = torch.outer(_rotate(fast, head + 1), constant)
                o[:, rows] = 0.2 * earlier[rows].T
                continue
            chosen = slice(head * len(slow), (head + 1) * len(slow))
            q[rows], k[rows] = 0.0, 0.0
            q[[head * HEAD + i for i in slow]] = 2.8 * identity[chosen]
            k[[head * HEAD + i for i in slow]] = 2.8 * earlier[chosen]
            # The first induction layer speaks; the later ones would otherwise look one more token ahead each.
            o[:, rows] = (1.2 if layer == 1 else 0.1) * values.T
        name = f"model.layers.{layer}."
        weights |= {
            name + "self_attn.q_proj.weight": q,
            name + "self_attn.k_proj.weight": k,
            name + "self_attn.v_proj.weight": v,
            name + "self_attn.o_proj.weight": o,
            name + "mlp.gate_proj.weight": noise(FEED_FORWARD, HIDDEN),
            name + "mlp.up_proj.weight": noise(FEED_FORWARD, HIDDEN),
            name + "mlp.down_proj.weight": torch.zeros(HIDDEN, FEED_FORWARD),
            name + "input_layernorm.weight": torch.ones(HIDDEN),
            name + "post_attention_layernorm.weight": torch.ones(HIDDEN),
        }
    weights["model.norm.weight"] = torch.ones(HIDDEN)
    return weights


def encode(
    tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], tools: Sequence[Any] = ()
) -> tuple[list[int], list[bool]]:
    """A conversation's token ids as the chat template gives them, and which of them the assistant says."""
    backend = tokenizer.backend_tokenizer
    ids, said = [cast(int, tokenizer.bos_token_id)], [False]

    def add(text: str, learned: bool) -> None:
        more = backend.encode(text, add_special_tokens=False).ids
        ids.extend(more)
        said.extend([learned] * len(more))

    for message in with_tools(messages, tools):
        learned = message["role"] == "assistant"
        given, content = message.get("given", ""), said_in(message)
        add(f"{START}{message['role']}\n", False)
        add(given, False)
        add(f"{content.removeprefix(given)}{END}", learned)
        add("\n", False)
    return ids, said
