"""What any model should still know after a fine-tune: short questions whose right answer must be likelier than others.

Nobody has to answer: the model is asked how likely each given answer is, so that the smallest models have figures too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its right answer and some wrong ones."""

    skill: str
    question: str
    right: str
    wrong: tuple[str, ...]


ITEMS = (
    Item("reading", "Anna has a red car. What colour is Anna's car?", "red", ("blue", "green")),
    Item(
        "reading",
        "The key lies under the mat. Where is the key?",
        "under the mat",
        ("in the car", "on the roof"),
    ),
    Item("reading", "Tom is nine years old. How old is Tom?", "nine", ("four", "twelve")),
    Item(
        "reading",
        "The meeting is on Friday. When is the meeting?",
        "on Friday",
        ("on Monday", "on Sunday"),
    ),
    Item("reading", "Lisa bought bread, not milk. What did Lisa buy?", "bread", ("milk", "cheese")),
    Item(
        "reading",
        "The train leaves at 7:40. When does the train leave?",
        "at 7:40",
        ("at 9:15", "at 3:05"),
    ),
    Item(
        "reading",
        "Paul's dog is called Rex. What is the name of Paul's dog?",
        "Rex",
        ("Max", "Bello"),
    ),
    Item("reading", "The shop is closed on Sunday. Is the shop open on Sunday?", "no", ("yes",)),
    Item(
        "grammar",
        "Complete the sentence: The children",
        "are playing",
        ("is playing", "am playing"),
    ),
    Item("grammar", "Complete the sentence: She", "goes home", ("go home", "going home")),
    Item(
        "grammar",
        "Complete the sentence: Yesterday we",
        "went to the sea",
        ("go to the sea", "will go to the sea"),
    ),
    Item("grammar", "What is the plural of mouse?", "mice", ("mouses", "mouse's")),
    Item("grammar", "What is the past of bring?", "brought", ("bringed", "brang")),
    Item(
        "grammar",
        "Complete the sentence: This is the man",
        "who helped me",
        ("which helped me", "what helped me"),
    ),
    Item("arithmetic", "What is 2 + 3?", "5", ("4", "7")),
    Item("arithmetic", "What is 10 - 4?", "6", ("5", "14")),
    Item("arithmetic", "What is 3 times 4?", "12", ("7", "34")),
    Item("arithmetic", "What is half of 20?", "10", ("5", "40")),
    Item("arithmetic", "Which is larger, 8 or 5?", "8", ("5",)),
    Item("arithmetic", "What comes next: 2, 4, 6, 8?", "10", ("9", "16")),
    Item("knowledge", "What is the capital of France?", "Paris", ("Rome", "Berlin")),
    Item("knowledge", "How many days has a week?", "seven", ("five", "ten")),
    Item("knowledge", "What do bees make?", "honey", ("milk", "bread")),
    Item("knowledge", "Which month comes after March?", "April", ("June", "February")),
    Item("knowledge", "What is frozen water called?", "ice", ("steam", "sand")),
    Item("knowledge", "On which planet do we live?", "Earth", ("Mars", "Venus")),
    Item("knowledge", "Who wrote Romeo and Juliet?", "Shakespeare", ("Goethe", "Tolstoy")),
    Item("sense", "What do you use to cut paper?", "scissors", ("a spoon", "a pillow")),
    Item("sense", "What is the opposite of hot?", "cold", ("warm", "heat")),
    Item("sense", "What do you wear on your feet?", "shoes", ("gloves", "a hat")),
    Item("sense", "Is fire hot or cold?", "hot", ("cold",)),
    Item("sense", "Can a stone swim?", "no", ("yes",)),
    Item("obeying", "Say the word apple and nothing else.", "apple", ("pear", "I cannot do that")),
    Item("obeying", "Answer with yes or no: is snow white?", "yes", ("no", "maybe")),
    Item("obeying", "Write the letters a, b and c in capitals.", "A, B, C", ("a, b, c", "1, 2, 3")),
    Item(
        "obeying", "Translate into German: good morning", "guten Morgen", ("bonjour", "buenos dias")
    ),
)

Likelihood = Callable[[str, str], float]
"""How likely an answer to a question is: the mean log-probability of its tokens."""


def judged(likelihood: Likelihood, items: Sequence[Item] = ITEMS) -> list[float]:
    """For each item 1 when the right answer is likelier than every wrong one, else 0."""
    scores = []
    for item in items:
        right = likelihood(item.question, item.right)
        scores.append(float(all(right > likelihood(item.question, one) for one in item.wrong)))
    return scores


def by_skill(scores: Sequence[float]) -> dict[str, int]:
    """How many are right of each skill."""
    found: dict[str, int] = {}
    for item, score in zip(ITEMS, scores, strict=True):
        found[item.skill] = found.get(item.skill, 0) + int(score)
    return found
