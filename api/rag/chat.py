"""Plain chat: the conversation goes to the model as it is, and its answer comes back with a receipt."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from api.errors import BackEndFailed
from api.rag.receipt import AnswerEvent, Reasoning, Token, done, plain_receipt
from api.rag.room import Asked
from api.runtime import CallPiece, Message, ModelRuntime, Usage, forced_calls
from api.runtime.schemas import CheckedSchema, require_held
from api.runtime.threads import in_thread


async def chat(
    runtime: ModelRuntime, asked: Asked, messages: Sequence[Message]
) -> AsyncGenerator[AnswerEvent, None]:
    """Tokens, the receipt, the end. Closing it cancels the generation."""
    async with aclosing(said(runtime, asked, messages)) as pieces:
        async for piece in pieces:
            if not isinstance(piece, Usage):
                yield piece
            else:
                yield plain_receipt(asked, piece)
                yield done(piece)


async def said(
    runtime: ModelRuntime,
    asked: Asked,
    messages: Sequence[Message],
    prompt_tokens: int | None = None,
) -> AsyncGenerator[Token | Reasoning | CallPiece | Usage, None]:
    """What the model says, and at the end what that took; `errors.BackEndFailed` when it does not tell, and for a whole
    answer that does not hold the schema of the request.
    """
    schema, text = asked.options.json_schema, ""
    if isinstance(schema, CheckedSchema) or asked.options.stop:
        schema = None
    pieces = forced_calls.chat(
        runtime,
        asked.model,
        messages,
        asked.options,
        least_tokens=asked.least,
        prompt_tokens=prompt_tokens,
    )
    async with aclosing(pieces):
        async for piece in pieces:
            if piece.reasoning:
                yield Reasoning(piece.reasoning)
            if piece.text or piece.logprobs:
                text += "" if schema is None else piece.text
                yield Token(piece.text, piece.logprobs)
            for call in piece.calls:
                yield call
            if piece.usage:
                if schema is not None and piece.usage.finish_reason == "stop":
                    await in_thread(require_held, schema, text)
                yield piece.usage
                return
    raise BackEndFailed("The model stopped without saying how its answer ended. Ask again.")
