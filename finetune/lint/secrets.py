"""Finds what must not be learned by heart: keys of known makes, and numbers of payment cards.

What it shows of a find is its kind and its first letters, never the whole.
"""

import re

KEYS = {
    "an OpenAI-style key": r"\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{20,}",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a Hugging Face token": r"\bhf_[A-Za-z]{30,}",
    "a Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{20,}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----",
}
_HINTS = re.compile(
    r"sk-|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AIza|hf_|k_live_|PRIVATE KEY"
)
_KEYS = [(kind, re.compile(pattern)) for kind, pattern in KEYS.items()]
_LEAST_DIFFERENT = 8
"""A placeholder such as sk-xxxxxxxxxxxxxxxxxxxxxxxx has fewer different characters."""

_DIGITS = re.compile(
    r"(?<![\w.,/-])(?:\d{15,16}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5})(?![\w/-])"
)
_CARDS = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}"
)
_INVENTED = frozenset(
    {
        *("4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556"),
        *("5555555555554444", "5105105105105100", "2223003122003222", "5200828282828210"),
        *("378282246310005", "371449635398431", "6011111111111117", "6011000990139424"),
    }
)
"""Numbers that the card networks and payment services give out for tests."""


def key_in(text: str) -> str | None:
    """What kind of key stands there, and how it begins."""
    if not _HINTS.search(text):
        return None
    for kind, pattern in _KEYS:
        for match in pattern.finditer(text):
            found = match[0]
            is_invented = "EXAMPLE" in found.upper() or len(set(found)) < _LEAST_DIFFERENT
            if not is_invented:
                return f"{kind} ({found[:6]}..., {len(found)} characters)"
    return None


def card_in(text: str) -> str | None:
    """How the number begins and ends."""
    for match in _DIGITS.finditer(text):
        digits = "".join(filter(str.isdigit, match[0]))
        if _CARDS.fullmatch(digits) and _luhn(digits) and digits not in _INVENTED:
            return f"{digits[:4]}...{digits[-2:]}"
    return None


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    single = [int(digit) for digit in digits[-1::-2]]
    return (sum(single) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0
