"""The parts of an answer, and what llama.cpp says of them in Ollama's words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.ollama_double.wire import JSONObject


@dataclass(frozen=True)
class Piece:
    """A part of an answer; `counts` stands in the last one."""

    text: str
    thinking: str = ""
    calls: list[JSONObject] = field(default_factory=list)
    probabilities: list[JSONObject] = field(default_factory=list)
    counts: JSONObject | None = None

    @property
    def says_anything(self) -> bool:
        """Whether it is worth a line."""
        return bool(self.text or self.thinking or self.probabilities or self.counts)


def counts(timings: JSONObject, *, is_cut: bool) -> JSONObject:
    """What the last line tells of the work; tokens out of the cache count, too."""
    return {
        "done_reason": "length" if is_cut else "stop",
        "prompt_eval_count": timings["prompt_n"] + max(timings.get("cache_n", 0), 0),
        "prompt_eval_duration": int(timings["prompt_ms"] * 1e6),
        "eval_count": timings["predicted_n"],
        "eval_duration": int(timings["predicted_ms"] * 1e6),
    }


def probabilities(tokens: Sequence[JSONObject] | None, *, with_top: bool) -> list[JSONObject]:
    """The probabilities of tokens, and of what might have stood in their place."""
    shown = []
    for token in tokens or ():
        shown.append(_shown(token))
        if with_top:
            shown[-1]["top_logprobs"] = [_shown(other) for other in token["top_logprobs"]]
    return shown


def _shown(token: JSONObject) -> JSONObject:
    return {key: token[key] for key in ("token", "logprob", "bytes") if key in token}
