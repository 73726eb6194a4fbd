"""Requests and tokens a minute, and requests at once, of each key: counted in memory, refused before work starts.

An allowance refills evenly, as OpenAI's do: of 60 a minute one comes back each second, and 60 may come at once. The
clock is passed in, in seconds. What a request takes is held as an estimate and counted when it has ended. What nobody
waits for takes of an allowance's upper half alone, and is none of the requests at once: it runs behind all others.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from api.auth.refusals import RateLimited

SECONDS = 60.0
CHARACTERS_A_TOKEN = 4
"""Of a body in JSON: what most tokenizers come to with English text; only an estimate, until the answer is there."""
LEAST_TOKENS = 32
"""What any request is expected to take, also one that does not say how long its body is."""
RATE_LIMIT_HEADERS = tuple(
    f"x-ratelimit-{what}-{of}"
    for of in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)
PARALLEL_RETRY_SECONDS = 1
LEFT_BY_BACKGROUND = 0.5
"""The part of an allowance that is left to requests that somebody waits for."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a key may take; None: as much as it likes."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_requests: int | None = None


@dataclass(slots=True)
class Bucket:
    """An allowance: `level` of `limit` is left at the time `at`; below zero when more was taken than expected."""

    limit: int
    level: float
    at: float

    def refill(self, now: float) -> None:
        """Bring it to the present."""
        more = (now - self.at) * self.limit / SECONDS
        self.level, self.at = min(self.limit, self.level + more), now

    def seconds_until(self, amount: float) -> float:
        """How long until there is so much, or the bucket is full; 0 when it is."""
        return max(0.0, min(amount, self.limit) - self.level) * SECONDS / self.limit

    @property
    def remaining(self) -> int:
        """What is left now."""
        return max(0, math.floor(self.level))


@dataclass(slots=True)
class _Counted:
    """What one key has left, and how many of its requests run."""

    buckets: dict[str, Bucket] = field(default_factory=dict)
    running: int = 0

    def bucket(self, name: str, limit: int | None, now: float) -> Bucket | None:
        """The allowance of that name as it is now; a limit that was changed holds at once."""
        if limit is None:
            self.buckets.pop(name, None)
            return None
        known = self.buckets.setdefault(name, Bucket(limit, limit, now))
        known.refill(now)
        known.limit, known.level = limit, min(known.level, limit)
        return known


@dataclass(slots=True)
class Place:
    """A request that was let in."""

    headers: Mapping[str, str]
    """`x-ratelimit-...` of its answer."""
    held: int
    """Tokens that it is expected to take."""
    _counted: _Counted
    _in_background: bool = False
    _has_left: bool = False

    def expect(self, tokens: int) -> None:
        """It is larger than it was held for: hold so much, and no more than is let out in a minute."""
        bucket = self._counted.buckets.get("tokens")
        more = (min(tokens, bucket.limit) if bucket else tokens) - self.held
        if more > 0 and not self._has_left:
            self.held += more
            if bucket:
                bucket.level -= more

    def leave(self, tokens: int) -> None:
        """It has ended, in whatever way, and took so many tokens."""
        if self._has_left:
            return
        self._has_left = True
        self._counted.running -= not self._in_background
        bucket = self._counted.buckets.get("tokens")
        if bucket is not None:
            bucket.level += self.held - tokens


class Limits:
    """The counts of all keys, since the start of the process."""

    def __init__(self) -> None:
        self._keys: dict[str, _Counted] = {}

    def enter(
        self,
        key_id: str,
        allowed: Allowed,
        tokens: int,
        now: float,
        *,
        in_background: bool = False,
    ) -> Place:
        """Take a place for a request of about so many tokens; `refusals.RateLimited` when there is none."""
        counted = self._keys.setdefault(key_id, _Counted())
        most = allowed.tokens_per_minute
        if most is not None:  # an estimate alone locks nobody out for longer than a minute
            tokens = min(tokens, most)
        wanted = {
            "requests": (allowed.requests_per_minute, 1),
            "tokens": (most, tokens),
        }
        takes = {
            name: (bucket, amount)
            for name, (limit, amount) in wanted.items()
            if (bucket := counted.bucket(name, limit, now))
        }
        headers = _headers({name: bucket for name, (bucket, _) in takes.items()})
        at_once = allowed.parallel_requests
        if at_once is not None and counted.running >= at_once and not in_background:
            text = f"{at_once} requests of this key run already, and it may have no more at once."
            raise RateLimited(text, PARALLEL_RETRY_SECONDS, headers)
        for name, (bucket, amount) in takes.items():
            left = bucket.limit * LEFT_BY_BACKGROUND if in_background else 0
            if (seconds := bucket.seconds_until(amount + left)) > 0:
                later = math.ceil(seconds)
                text = f"This key may take {bucket.limit} {name} a minute. Try again in {later} s."
                raise RateLimited(text, later, headers)
        for bucket, amount in takes.values():
            bucket.level -= amount
        counted.running += not in_background
        said = _headers({name: bucket for name, (bucket, _) in takes.items()})
        return Place(said, tokens, counted, in_background)


def estimated_tokens(content_length: int, is_text: bool) -> int:
    """What a request of so many bytes is expected to take; files are no prompts."""
    return max(LEAST_TOKENS, content_length // CHARACTERS_A_TOKEN if is_text else 0)


def _headers(buckets: Mapping[str, Bucket]) -> dict[str, str]:
    said = {}
    for name, bucket in buckets.items():
        said[f"x-ratelimit-limit-{name}"] = str(bucket.limit)
        said[f"x-ratelimit-remaining-{name}"] = str(bucket.remaining)
        said[f"x-ratelimit-reset-{name}"] = as_duration(bucket.seconds_until(bucket.limit))
    return said


def as_duration(seconds: float) -> str:
    """A time as OpenAI writes it: `120ms`, `17s`, `1m30s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= SECONDS else f"{whole}s"
