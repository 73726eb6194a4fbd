"""Tells in which language and form an answer is, and which answers are unlike nearly all the others.

A small heuristic of our own: the script by its letters, for the Latin one the language by its commonest words, and
whether it is JSON. It is silent unless the rest is of one kind.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

SCRIPTS = {
    "Greek": ("\u0370", "\u03ff"),
    "Cyrillic": ("\u0400", "\u052f"),
    "Hebrew": ("\u0590", "\u05ff"),
    "Arabic": ("\u0600", "\u06ff"),
    "Devanagari": ("\u0900", "\u097f"),
    "Thai": ("\u0e00", "\u0e7f"),
    "Kana": ("\u3040", "\u30ff"),
    "Han": ("\u4e00", "\u9fff"),
    "Hangul": ("\uac00", "\ud7a3"),
}
WORDS = {
    "English": "the and of to is in that it for with was are this you on be not have from which a as at he she his "
    "her they has by an or per each how many so will can do",
    "German": "der die das und ist nicht ein eine zu mit auf den von sich auch werden wird dem wie oder in an im es "
    "als so was er sie war bei nach aus wer wo hat des wurde",
    "French": "le la les et est des une dans pas pour que qui sur du avec ce vous sont nous plus de en un il au par "
    "se elle ne a son sa aux ou",
    "Spanish": "el los las es una que por con para del se como lo pero su al esta son muy hay de en la un y no a o "
    "le fue sus mas",
    "Italian": "il gli che di una per non sono della con del nel alla anche le piu si come dei questo la e in un da "
    "a al i lo o ha",
    "Portuguese": "os uma que em para com do da no na mais como dos das foi ao ser pelo isso voce de e o a um as se "
    "por sua",
    "Dutch": "de het een en van ik niet dat op te zijn met voor er maar ook aan bij naar wordt in is was die of als "
    "door om uit hij",
}
_LANGUAGES = {
    word: [language for language, known in WORDS.items() if word in known.split()]
    for words in WORDS.values()
    for word in words.split()
}
"""The languages that a word is common in."""
_OTHER_LETTERS = {
    script: re.compile(f"[{first}-{last}]") for script, (first, last) in SCRIPTS.items()
}
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")
_ABOUT_LANGUAGES = re.compile(
    r"translat|\u00fcbersetz|tradu|vertaal|english|german|deutsch|fran[c\u00e7]ais|french|spanish|espa[n\u00f1]ol"
    r"|italian|portug|dutch|russian|chinese|japanese|korean|arabic|greek|hebrew|hindi|thai|ukrain",
    re.IGNORECASE,
)

LOOKED_AT = 400
"""Characters of a text that are looked at."""
FEWEST = 20
"""Answers of a known kind, below which nothing is said of the others."""
NEARLY_ALL = 0.95


def language_of(text: str) -> str | None:
    """The script, for the Latin one the language; None when there is too little to tell by."""
    text = text[:LOOKED_AT]
    if not text.isascii():
        counts = {script: len(letters.findall(text)) for script, letters in _OTHER_LETTERS.items()}
        script = max(counts, key=counts.__getitem__)
        if counts[script] >= 4 and counts[script] > 0.5 * len(_LETTER.findall(text)):
            # Japanese is written in both.
            return "Japanese" if counts["Kana"] and script in ("Han", "Kana") else script
    words = _WORD.findall(text.lower())
    if len(words) < 6:
        return None
    (language, most), (_, second) = _commonest(words)
    different = sum(language in _LANGUAGES.get(word, ()) for word in set(words))
    if different < 3 or most < 1.5 * second or most < 0.15 * len(words):
        return None
    return language


def _commonest(words: list[str]) -> list[tuple[str, int]]:
    """The two languages that most of the words are common in, and in how many."""
    hits = Counter(dict.fromkeys(WORDS, 0))
    for word in words:
        for language in _LANGUAGES.get(word, ()):
            hits[language] += 1
    return hits.most_common(2)


def is_json(text: str) -> bool:
    """Whether it is a JSON object or list."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("{}", "[]"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(slots=True)
class Kinds:
    """How many answers are of each kind, and the first rows of each that an odd one would be named by."""

    most_rows: int
    counts: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, row: int, explained: bool = False) -> None:
        """Count an answer; one that its question `explained` is never an odd one."""
        self.counts[kind] += 1
        if explained:
            return
        self.odd[kind] += 1
        rows = self.rows.setdefault(kind, [])
        if len(rows) < self.most_rows:
            rows.append(row)

    def is_odd(self, kind: str) -> bool:
        """Whether it may turn out to be unlike the others."""
        return self.counts.total() < FEWEST or self.counts[kind] < NEARLY_ALL * self.counts.total()

    def rest(self) -> str | None:
        """The kind that nearly all answers are of, or None."""
        total = self.counts.total()
        if total < FEWEST:
            return None
        kind, count = self.counts.most_common(1)[0]
        return kind if NEARLY_ALL * total <= count < total else None


def explains(question: str, language: str) -> bool:
    """Whether an answer in this language is what the question asks for, as far as can be told: by a few words or
    letters of its own, or by naming a language.
    """
    question = question[-LOOKED_AT:]
    letters = [_OTHER_LETTERS[script] for script in _scripts(language)]
    if any(pattern.search(question) for pattern in letters):
        return True
    (likeliest, most), (_, second) = _commonest(_WORD.findall(question.lower()))
    return (likeliest == language and most > second) or bool(_ABOUT_LANGUAGES.search(question))


def _scripts(language: str) -> tuple[str, ...]:
    if language == "Japanese":
        return "Kana", "Han"
    return (language,) if language in SCRIPTS else ()
