"""What a key may take, with a clock that the test turns."""

import pytest

from api.auth.limits import Allowed, Limits, as_duration, estimated_tokens
from api.auth.refusals import RateLimited

KEY = "key_1"


def refused(limits: Limits, allowed: Allowed, tokens: int, now: float) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        limits.enter(KEY, allowed, tokens, now)
    return caught.value


def test_requests_come_back_evenly() -> None:
    limits, allowed = Limits(), Allowed(requests_per_minute=3)
    left = [
        limits.enter(KEY, allowed, 0, 100).headers["x-ratelimit-remaining-requests"]
        for _ in range(3)
    ]
    assert left == ["2", "1", "0"]
    error = refused(limits, allowed, 0, 105)
    assert error.retry_after_seconds == 15
    assert error.headers["x-ratelimit-limit-requests"] == "3"
    assert error.headers["x-ratelimit-reset-requests"] == "55s"
    limits.enter(KEY, allowed, 0, 120)
    refused(limits, allowed, 0, 120)


def test_another_key_has_its_own() -> None:
    limits, allowed = Limits(), Allowed(requests_per_minute=1)
    limits.enter(KEY, allowed, 0, 0)
    limits.enter("key_2", allowed, 0, 0)
    refused(limits, allowed, 0, 0)


def test_an_estimate_is_held_and_what_was_taken_counts_in_the_end() -> None:
    limits, allowed = Limits(), Allowed(tokens_per_minute=100)
    first = limits.enter(KEY, allowed, 80, 0)
    assert first.headers["x-ratelimit-remaining-tokens"] == "20"
    refused(limits, allowed, 30, 0)
    first.leave(10)
    second = limits.enter(KEY, allowed, 30, 0)
    assert second.headers["x-ratelimit-remaining-tokens"] == "60"
    second.leave(150)  # 60 more than there were
    assert refused(limits, allowed, 1, 0).retry_after_seconds == 37
    assert refused(limits, allowed, 1, 30).headers["x-ratelimit-remaining-tokens"] == "0"
    limits.enter(KEY, allowed, 1, 37)


def test_a_request_larger_than_the_limit_passes_when_nothing_is_taken() -> None:
    limits, allowed = Limits(), Allowed(tokens_per_minute=100)
    limits.enter(KEY, allowed, 500, 0).leave(500)
    assert refused(limits, allowed, 500, 0).retry_after_seconds == 300


def test_a_place_is_given_back_once() -> None:
    limits, allowed = Limits(), Allowed(parallel_requests=2)
    first, second = (limits.enter(KEY, allowed, 0, 0) for _ in range(2))
    assert refused(limits, allowed, 0, 0).retry_after_seconds == 1
    first.leave(0)
    first.leave(0)
    limits.enter(KEY, allowed, 0, 0)
    refused(limits, allowed, 0, 0)
    second.leave(0)
    limits.enter(KEY, allowed, 0, 0)


def test_who_is_refused_by_one_limit_takes_nothing_of_the_others() -> None:
    limits = Limits()
    allowed = Allowed(requests_per_minute=2, tokens_per_minute=10)
    limits.enter(KEY, allowed, 10, 0)
    for _ in range(5):
        refused(limits, allowed, 10, 0)
    limits.enter(KEY, allowed, 10, 60)


def test_a_limit_that_was_changed_holds_at_once() -> None:
    limits = Limits()
    limits.enter(KEY, Allowed(requests_per_minute=100), 0, 0)
    limits.enter(KEY, Allowed(requests_per_minute=1), 0, 0)
    refused(limits, Allowed(requests_per_minute=1), 0, 0)
    limits.enter(KEY, Allowed(), 0, 0)


def test_what_nobody_waits_for_leaves_half_of_an_allowance_and_is_none_of_those_at_once() -> None:
    limits, allowed = Limits(), Allowed(requests_per_minute=4, parallel_requests=1)
    batch = [limits.enter(KEY, allowed, 0, 0, in_background=True) for _ in range(2)]
    with pytest.raises(RateLimited) as caught:
        limits.enter(KEY, allowed, 0, 0, in_background=True)
    assert caught.value.retry_after_seconds == 15
    waited_for = limits.enter(KEY, allowed, 0, 0)
    for place in batch:
        place.leave(0)
    assert "1 requests of this key run" in refused(limits, allowed, 0, 0).detail
    waited_for.leave(0)
    limits.enter(KEY, allowed, 0, 0)


def test_an_allowance_of_one_is_enough_for_what_nobody_waits_for() -> None:
    limits, allowed = Limits(), Allowed(requests_per_minute=1, tokens_per_minute=10)
    limits.enter(KEY, allowed, 10, 0, in_background=True).leave(10)
    limits.enter(KEY, allowed, 10, 60, in_background=True)


def test_files_are_no_prompts() -> None:
    assert estimated_tokens(4000, is_text=True) == 1000
    assert estimated_tokens(10**9, is_text=False) == estimated_tokens(0, is_text=True) == 32


def test_an_estimate_beyond_the_limit_locks_the_key_out_for_a_minute_at_most() -> None:
    limits, allowed = Limits(), Allowed(tokens_per_minute=100)
    place = limits.enter(KEY, allowed, 1_000_000, 0)
    assert place.held == 100
    place.leave(place.held)
    assert refused(limits, allowed, 100, 0).retry_after_seconds == 60
    limits.enter(KEY, allowed, 1_000_000, 60)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.12, "120ms"), (16.2, "17s"), (60, "1m0s"), (90, "1m30s")]
)
def test_a_time_is_written_as_openai_does(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text
