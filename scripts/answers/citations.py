"""Citations with their statements: true ones, and ones that were tampered with. Counts what the check flags of each.

True is a sentence of a passage, word for word or reworded by a rule that keeps what it says. Tampered with is such a
sentence with another number, unit, name, date or truth, or one that cites another passage.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from api.rag.clauses import names_in
from api.rag.numbers import MONTHS
from api.rag.support import Passage, lacking
from api.rag.words import content_words, words
from api.services import Services

TOLD = 180
TAMPERED = 20
SHOWN = 12

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NO_SENTENCE = re.compile(r"[\u2022\u25cf]|\b\d+\.$|[<>{}|]")
"""Items of lists, headings and code that ran together with a sentence."""
_FIRST = re.compile(
    r"^(?:Additionally|In addition|However|Also|Furthermore|Generally|Finally|Therefore), (\w)"
)
_SYNONYMS = {
    "receive": "get", "ensure": "make sure", "purchase": "buy", "assist": "help", "obtain": "get", "require": "need",
    "provides": "offers", "offers": "provides", "such as": "like", "in order to": "to", "may": "might",
    "prior to": "before", "employees": "staff", "utilize": "use", "additional": "further", "various": "several",
}  # fmt: skip
_SPELLED = {
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "10": "ten",
    "12": "twelve",
    "30": "thirty",
    "60": "sixty",
}
_UNITS = {
    "days": "weeks",
    "months": "years",
    "hours": "days",
    "years": "months",
    "weeks": "months",
    "%": " dollars",
    "$": "\u20ac",
    "million": "billion",
    "minutes": "hours",
}

Rule = Callable[[str, random.Random], str]


@dataclass(frozen=True)
class Told:
    """A statement, the passage that it cites, and the rule that made it."""

    statement: str
    passage: Passage
    rule: str
    is_true: bool


def _formats(text: str, _: random.Random) -> str:
    text = re.sub(r"(\d),(\d{3})", r"\1\2", text)
    text = re.sub(r"\$(\d+)\b(?![.,]\d| (?:million|billion))", r"\1 dollars", text)
    text = re.sub(r"(\d)%", r"\1 percent", text)
    return re.sub(
        r"(?<![\d.,$-])(\d{1,2})(?= (?:days|months|years|hours|visits|weeks)\b)",
        lambda m: _SPELLED.get(m[1], m[1]),
        text,
    )


def _synonyms(text: str, chance: random.Random) -> str:
    there = [one for one in _SYNONYMS if re.search(rf"\b{one}\b", text)]
    for one in chance.sample(there, min(2, len(there))):
        text = re.sub(rf"\b{one}\b", _SYNONYMS[one], text)
    return text


def _contracted(text: str, _: random.Random) -> str:
    return re.sub(
        r"\b(does|do|is|are|was|were|will|would) not\b",
        lambda m: m[1].replace("will", "wo") + "n't",
        text,
    )


def _framed(text: str, chance: random.Random) -> str:
    opening = chance.choice(
        ["According to the document, ", "The text says that ", "Yes, ", "In short: "]
    )
    return opening + text


def _shortened(text: str, _: random.Random) -> str:
    text = _FIRST.sub(lambda m: m[1].upper(), text)
    head, found, _ = text.partition(", which ")
    return f"{head}." if found else text


def _verbatim(text: str, _: random.Random) -> str:
    return " ".join(text.split())


REWORDINGS: dict[str, Rule] = {
    "verbatim": _verbatim, "formats": _formats, "synonyms": _synonyms, "contracted": _contracted, "framed": _framed,
    "shortened": _shortened,
}  # fmt: skip


def _other_number(text: str, chance: random.Random) -> str:
    found = list(re.finditer(r"\d[\d,]*(?:\.\d+)?", text))
    if not found:
        return text
    one = chance.choice(found)
    value = float(one[0].replace(",", "").rstrip(".") or 0)
    changed = value + chance.choice([1, 2, 7, 10, 100]) * chance.choice(
        [1, -1 if value > 100 else 1]
    )
    return f"{text[: one.start()]}{changed:g}{text[one.end() :]}"


def _other_unit(text: str, chance: random.Random) -> str:
    there = [one for one in _UNITS if re.search(rf"\d ?{re.escape(one)}|{re.escape(one)}\d", text)]
    return (
        text.replace(chance.choice(there), _UNITS[there[0]] if len(there) == 1 else "", 1)
        if len(there) == 1
        else text
    )


def _other_date(text: str, chance: random.Random) -> str:
    there = [one for one in MONTHS if re.search(rf"\b{one}\b (?:\d|of)|\d {one}\b", text)]
    if there:
        return text.replace(there[0], chance.choice([one for one in MONTHS if one not in there]))
    return re.sub(r"\b(19|20)(\d\d)\b", lambda m: f"{int(m[0]) + 3}", text, count=1)


def _denied(text: str, _: random.Random) -> str:
    if re.search(r"\bnot\b", text):
        return re.sub(r"\b(?:does |do |did )?not ", "", text, count=1)
    return re.sub(
        r"\b(is|are|was|were|will|can|must|may|should)\b(?! not)", r"\1 not", text, count=1
    )


TAMPERINGS: dict[str, Rule] = {
    "number": _other_number, "unit": _other_unit, "date": _other_date, "negation": _denied
}  # fmt: skip


def told(passages: Sequence[Passage], seed: int) -> Iterator[Told]:
    """`TOLD` true statements and `TAMPERED` others about passages that the seed draws, each rule in its turn."""
    chance = random.Random(seed)
    names = sorted({name for one in passages for name in _names(one.text)})
    for number in range(TOLD):
        rule = list(REWORDINGS)[number % len(REWORDINGS)]
        passage, sentence = _sentence(passages, chance, REWORDINGS[rule])
        yield Told(REWORDINGS[rule](sentence, chance), passage, rule, True)
    kinds = [*TAMPERINGS, "name", "passage"]
    for number in range(TAMPERED):
        rule = kinds[number % len(kinds)]
        if rule == "passage":
            passage, sentence = _sentence(passages, chance, _verbatim)
            other = chance.choice(
                [one for one in passages if not content_words(sentence) <= content_words(one.text)]
            )
            yield Told(sentence, other, rule, False)
        elif rule == "name":
            yield _renamed(passages, names, chance)
        else:
            passage, sentence = _sentence(passages, chance, TAMPERINGS[rule], changed=True)
            yield Told(TAMPERINGS[rule](sentence, chance), passage, rule, False)


def _sentence(
    passages: Sequence[Passage], chance: random.Random, rule: Rule, *, changed: bool = False
) -> tuple[Passage, str]:
    """A sentence that says something by itself, on which the rule has an effect if that is wanted."""
    while True:
        passage = chance.choice(passages)
        sentences = [" ".join(one.split()) for one in _SENTENCE.split(passage.text)]
        sentences = [
            one
            for one in sentences
            if re.match(r"[A-Z]", one)
            and one[-1:] in ".!"
            and 6 <= len(words(one)) <= 45
            and not _NO_SENTENCE.search(one)
        ]
        if not sentences:
            continue
        sentence = chance.choice(sentences)
        state = chance.getstate()
        if not changed or rule(sentence, chance) != sentence:
            chance.setstate(state)
            return passage, sentence


def _names(text: str) -> list[str]:
    return [
        one
        for one in re.findall(r"(?<=[a-z,] )[A-Z][a-z]{3,}", text)
        if one.casefold() in names_in(text)
    ]


def _renamed(passages: Sequence[Passage], names: Sequence[str], chance: random.Random) -> Told:
    while True:
        passage, sentence = _sentence(passages, chance, _verbatim)
        there = _names(sentence)
        others = [one for one in names if one not in sentence]
        if there and others:
            changed = sentence.replace(chance.choice(there), chance.choice(others))
            return Told(changed, passage, "name", False)


def passages_of(services: Services, library: str) -> list[Passage]:
    """Every chunk of a library, as answers see it."""
    scope = services.store.collections.scope("", library)
    found = []
    for document in services.store.documents.ready_in(scope):
        for chunk in services.store.chunks.of(document.content_id):
            found.append(Passage(chunk.text, f"{chunk.heading} {document.name}"))
    return found


def report(libraries: dict[str, list[Passage]], seeds: int) -> str:
    """Flagged and told, by rule, over all libraries; then some of what went wrong."""
    flagged, all_of_them, wrong = Counter[str](), Counter[str](), []
    for library, passages in libraries.items():
        for seed in range(seeds):
            for one in told(passages, seed):
                key = ("true" if one.is_true else "tampered") + f", {one.rule}"
                why = lacking(one.statement, [one.passage])
                all_of_them[key] += 1
                flagged[key] += bool(why)
                if bool(why) is one.is_true:
                    wrong.append(f"{library}: {key}: {why or 'not flagged'}: {one.statement}")
    lines = ["| citations | flagged |", "|---|---|"]
    lines += [f"| {key} | {flagged[key]} of {all_of_them[key]} |" for key in all_of_them]
    return "\n".join([*lines, "", *random.Random(0).sample(wrong, min(SHOWN, len(wrong)))])
