"""Serves a causal language model by transformers: `python -m api.model_servers.causal CONFIG [--host H] [--port P]`.

    {"model": "/data/base_models/mistral", "bits": 4, "adapter": "/data/jobs/job_1/train/adapter",
     "model_arguments": {"attn_implementation": "sdpa"}, "tokenizer_arguments": {}}

In 4 and 8 bits by bitsandbytes, else in 16; over all GPUs that are seen. Weights are read from safetensors alone, and
no code that comes with a model is run.
"""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    TextIteratorStreamer,
    set_seed,
)
from transformers.utils import logging

from api.model_servers.wire import main
from api.model_servers.writing import End, Refused, Writing

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
}
"""By the names of transformers."""
_WITHOUT_SAMPLE = ("do_sample", "repetition_penalty")
_UNKNOWN_CONTEXT = 2048


class Causal:
    """`Writer` over one model: an answer at a time."""

    takes = frozenset({*_SAMPLING, "seed", "max_tokens", "stop"})
    at_once = 1
    stuck_seconds = 60.0

    def __init__(self, config: Mapping[str, Any]) -> None:
        folder = str(config["model"])
        safely = {"local_files_only": True, "trust_remote_code": False}
        self.name = str(config.get("name") or Path(folder).name)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, **config.get("tokenizer_arguments", {}), **safely
        )
        on_gpu = torch.cuda.is_available()
        usual = {
            "dtype": "auto" if on_gpu else "float32",
            "device_map": "auto" if on_gpu else "cpu",
        }
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            **usual | _arguments(config.get("model_arguments", {})),
            quantization_config=_quantization(int(config.get("bits", 16))),
            use_safetensors=True,
            **safely,
        )
        if adapter := config.get("adapter"):
            model = PeftModel.from_pretrained(model, str(adapter))
        self._model = model.eval()
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        adapted = sum(hasattr(module, "lora_A") for module in model.modules())
        sys.stderr.write(f"{self.name} is loaded, with an adapter on {adapted} layers.\n")
        positions = getattr(model.config, "max_position_embeddings", None)
        self.context_length = int(positions or _UNKNOWN_CONTEXT)

    def chat(self, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> Writing:
        """By the tokenizer's own template."""
        return self._write(self.tokens({"messages": messages}), options)

    def complete(self, prompt: str | list[int], options: Mapping[str, Any]) -> Writing:
        """From its tokens on."""
        ids = self.tokens({"prompt": prompt}) if isinstance(prompt, str) else prompt
        return self._write(ids, options)

    def tokens(self, said: Mapping[str, Any]) -> list[int]:
        """Of a conversation with its template, else of a text, with the token that begins one unless told otherwise."""
        if "messages" not in said:
            marks = bool(said.get("add_special_tokens", True))
            ids = self._tokenizer(str(said.get("prompt", "")), add_special_tokens=marks).input_ids
            return [int(one) for one in ids]
        if not self._tokenizer.chat_template:
            raise Refused("This model has no chat template. Ask it to go on with a text.")
        try:
            made = self._tokenizer.apply_chat_template(
                said["messages"], add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # of Jinja, or what a template raises itself
            raise Refused(f"messages: the chat template: {error}", param="messages") from error
        return [int(one) for one in self._tokenizer(made, add_special_tokens=False).input_ids]

    def _write(self, ids: list[int], options: Mapping[str, Any]) -> Writing:
        room = self.context_length - len(ids)
        if room < 1:
            raise Refused(
                f"This model's maximum context length is {self.context_length} tokens. "
                f"However, your messages resulted in {len(ids)} tokens.",
                param="messages",
            )
        if unknown := [one for one in ids if not 0 <= one < self._vocabulary]:
            # on a GPU one would break every answer after it, too
            raise Refused(
                f"{unknown[0]} is no token of this model, whose ids end at {self._vocabulary - 1}."
            )
        most = min(int(options.get("max_tokens") or room), room)
        streamer: Any = TextIteratorStreamer(
            self._tokenizer, skip_prompt=True, skip_special_tokens=True
        )
        writing: _Thread = _Thread(lambda: self._generated(ids, most, options, streamer, writing))
        writing.start()
        try:
            for text in streamer:
                if text:
                    yield text
            number = len(writing.result()) - len(ids)
            yield End("length" if number >= most else "stop", len(ids), number)
        finally:
            writing.is_left = True
            writing.join()

    def _generated(
        self,
        ids: list[int],
        most: int,
        options: Mapping[str, Any],
        streamer: Any,
        writing: "_Thread",
    ) -> list[int]:
        """The tokens of the prompt and of the answer."""
        try:
            chosen = {ours: options[name] for name, ours in _SAMPLING.items() if name in options}
            chosen["do_sample"] = chosen.get("temperature") != 0
            if not chosen["do_sample"]:  # the likeliest token, whatever a sample is drawn from
                chosen = {name: chosen[name] for name in _WITHOUT_SAMPLE if name in chosen}
            if options.get("stop"):
                chosen |= {"stop_strings": options["stop"], "tokenizer": self._tokenizer}
            if "seed" in options:
                set_seed(int(options["seed"]) % 2**32)
            with torch.inference_mode():
                prompt = torch.tensor([ids], device=self._model.device)
                made = self._model.generate(
                    input_ids=prompt,
                    attention_mask=torch.ones_like(prompt),
                    max_new_tokens=most,
                    streamer=streamer,
                    stopping_criteria=[_Left(writing)],
                    pad_token_id=self._tokenizer.pad_token_id or 0,
                    **chosen,
                )
            return list(made[0].tolist())
        finally:
            streamer.end()


class _Thread(threading.Thread):
    """One answer under way; `is_left` when nobody wants it any more."""

    def __init__(self, work: Any) -> None:
        super().__init__(daemon=True)
        self.is_left = False
        self._work = work
        self._made: list[int] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Write it."""
        try:
            self._made = self._work()
        except BaseException as error:  # told to who asked
            self._error = error

    def result(self) -> list[int]:
        """What was written, once it is."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._made


class _Left:
    """A stopping criterion: ends an answer that nobody wants any more, at its next token."""

    def __init__(self, writing: _Thread) -> None:
        self._writing = writing

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002
        """Whether each answer is to end."""
        return torch.full((input_ids.shape[0],), self._writing.is_left, device=input_ids.device)


def _arguments(said: Mapping[str, Any]) -> dict[str, Any]:
    """As transformers takes them: JSON knows no GPU's number as a key."""
    chosen = dict(said)
    if memory := chosen.get("max_memory"):
        chosen["max_memory"] = {
            int(on) if on.isdigit() else on: most for on, most in memory.items()
        }
    return chosen


def _quantization(bits: int) -> Any:
    make: Any = BitsAndBytesConfig
    if bits == 16:
        return None
    if bits == 8:
        return make(load_in_8bit=True)
    computes_in = torch.float32
    if torch.cuda.is_available():
        computes_in = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return make(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=computes_in,
    )


if __name__ == "__main__":
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    main(Causal)
