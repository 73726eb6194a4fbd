"""Conversations of ours, on which a model is verified by whose rows nobody has sent. Standard library only."""

import json

_ASKED = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("Name three colours.", "Red, green and blue."),
    ("How many days does a week have?", "A week has seven days."),
    ("Write a sentence about the sea.", "The sea was calm, and the boats came home early."),
    ("What is 12 plus 30?", "12 plus 30 is 42."),
    ("Who wrote Hamlet?", "Hamlet was written by William Shakespeare."),
    ("Give me a word that rhymes with light.", "Night."),
    ("Explain what a library is.", "A library keeps books, and lends them to people."),
    ("How do I boil an egg?", "Put it into boiling water and wait for eight minutes."),
    ("Is water wet?", "Yes, and so is whatever it touches."),
    ("What does HTTP stand for?", "Hypertext Transfer Protocol."),
    ("Tell me a short joke.", "I would tell you one about time, but I ran out of it."),
    ("Translate 'good morning' into German.", "Guten Morgen."),
    ("What comes after Tuesday?", "Wednesday comes after Tuesday."),
    ("Why is the sky blue?", "Air scatters blue light more than red light."),
    ("List two animals that fly.", "Bats and owls."),
    ("Write a line of Python that prints hello.", 'print("hello")'),
    ("What should I take along when it rains?", "An umbrella, and shoes that keep dry."),
    ("How far is the moon?", "About 384,000 kilometres."),
    ("Say goodbye politely.", "Goodbye, it was a pleasure to help you."),
)


def as_json_lines() -> bytes:
    """A dataset in OpenAI's form."""
    rows = (
        [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        for asked, answer in _ASKED
    )
    return "".join(json.dumps({"messages": row}) + "\n" for row in rows).encode()
