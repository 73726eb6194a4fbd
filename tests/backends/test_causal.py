"""The server of transformers over the demo model, without its process."""

from collections.abc import Mapping
from typing import Any

import pytest

from api.model_servers.causal import Causal
from api.model_servers.writing import End, Refused
from tests.finetune.jobs import DEMO_MODEL


@pytest.fixture(scope="module")
def demo() -> Causal:
    """Loaded once."""
    return Causal({"model": str(DEMO_MODEL)})


def said(writer: Causal, prompt: str | list[int], **options: Any) -> str:
    """What it goes on with."""
    chosen: Mapping[str, Any] = {"max_tokens": 12, **options}
    return "".join(one for one in writer.complete(prompt, chosen) if not isinstance(one, End))


def test_the_likeliest_token_is_that_after_the_penalty(demo: Causal) -> None:
    prompt = "one two one two one two one two one two"
    plain = said(demo, prompt, temperature=0, top_p=0.1)
    assert plain == said(demo, prompt, temperature=0)
    assert plain != said(demo, prompt, temperature=0, repeat_penalty=9.0)


@pytest.mark.parametrize("ids", [[-1], [5, 10**9]])
def test_what_is_no_token_is_refused(demo: Causal, ids: list[int]) -> None:
    with pytest.raises(Refused, match="is no token of this model"):
        said(demo, ids)


@pytest.mark.timeout(60)
def test_an_answer_that_cannot_begin_ends(demo: Causal) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        said(demo, "Hello", seed="none")
