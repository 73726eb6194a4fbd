"""Texts that a model went on with as OpenAI's objects: a `text_completion`, whole or in pieces."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from api.http.observe import seen
from api.http.sse import ServerEvent
from api.rag.completion import Completion
from api.rag.receipt import Done, Token
from api.routes.openai.chat_answers import JSON, Head, usage_of
from api.routes.openai.streams import DONE
from api.runtime import TokenLogprob

KIND = "text_completion"


def completion(head: Head, texts: Sequence[Completion], n: int) -> JSON:
    """The texts to all prompts, `n` to each."""
    choices = [
        _choice(number, one.text, one.done.finish_reason, _logprobs(one.logprobs, 0))
        for number, one in enumerate(texts)
    ]
    usage = usage_of([one.done for one in texts], n)
    seen().add_tokens(usage["prompt_tokens"], usage["completion_tokens"])
    return head.of(KIND, choices=choices, usage=usage)


async def completion_chunks(
    head: Head,
    events: AsyncGenerator[tuple[int, Token | Done], None],
    n: int,
    *,
    wants_usage: bool,
) -> AsyncGenerator[ServerEvent, None]:
    """The events of all texts as pieces; the last of each has its finish reason, as with OpenAI the others null."""
    ended: dict[int, Done] = {}
    written: dict[int, int] = {}
    beside: JSON = {"usage": None} if wants_usage else {}
    async with aclosing(events):
        async for index, event in events:
            if isinstance(event, Done):
                is_first = not any(one // n == index // n for one in ended)
                prompt = event.prompt_tokens if is_first else 0
                seen().add_tokens(prompt, event.completion_tokens)  # a client may read no further
                ended[index] = event
                choice = _choice(index, "", event.finish_reason, None)
            else:
                seen().pieces += 1
                logprobs = _logprobs(event.logprobs, written.get(index, 0))
                written[index] = written.get(index, 0) + len(event.text)
                choice = _choice(index, event.text, None, logprobs)
            yield ServerEvent("", head.of(KIND, choices=[choice], **beside))
    if wants_usage:
        usage = usage_of([ended[index] for index in sorted(ended)], n)
        yield ServerEvent("", head.of(KIND, choices=[], usage=usage))
    yield DONE


def _choice(index: int, text: str, finish_reason: str | None, logprobs: JSON | None) -> JSON:
    return {"index": index, "text": text, "finish_reason": finish_reason, "logprobs": logprobs}


def _logprobs(tokens: Sequence[TokenLogprob], start: int) -> JSON | None:
    """In the form of completions: lists side by side, and where in the text each token begins."""
    if not tokens:
        return None
    offsets: list[int] = []
    for one in tokens:
        offsets.append(start)
        start += len(one.token)
    return {
        "tokens": [one.token for one in tokens],
        "token_logprobs": [one.logprob for one in tokens],
        "top_logprobs": [{top.token: top.logprob for top in one.top} for one in tokens],
        "text_offset": offsets,
    }
