"""Why a caller is refused.

ApiError
|- KeyRefused 401          KeyNeeded, WrongKey, KeyExpired, KeyBlocked
|- ScopeMissing 403
|- NotFound 404            KeyNotFound
|- Conflict 409            AdminNeeded
`- TooManyRequests 429     RateLimited
"""

from collections.abc import Mapping

from api.errors import ApiError, Conflict, NotFound, TooManyRequests


class KeyRefused(ApiError):
    """Whoever calls is not let in."""

    status = 401
    title = "Key refused"


class KeyNeeded(KeyRefused):
    """There are keys, and the request has none."""

    title = "Key needed"


class WrongKey(KeyRefused):
    """No key has that text."""

    title = "Wrong key"


class KeyExpired(KeyRefused):
    """The key's time is over."""

    title = "Key expired"


class KeyBlocked(KeyRefused):
    """The key is kept, and does not open."""

    title = "Key blocked"


class ScopeMissing(ApiError):
    """The key may not do that; `scope` is what it lacks."""

    status = 403
    title = "Scope missing"


class KeyNotFound(NotFound):
    """No key of that id."""

    title = "Key not found"


class AdminNeeded(Conflict):
    """No key would be left that may manage the keys."""

    title = "Admin needed"


class RateLimited(TooManyRequests):
    """The key has taken what it may, for now; `headers` tell how much that is."""

    title = "Rate limit exceeded"

    def __init__(self, detail: str, retry_after_seconds: int, headers: Mapping[str, str]) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.headers = headers
