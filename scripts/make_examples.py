"""Make `examples/handbook.pdf`, `train.csv`, `eval.csv`, `orders.csv` and `lessons.csv`, the same bytes every time.

python scripts/make_examples.py
"""

import csv
import json
import random
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.recipe.samples import Conversations, Message, turn
from examples.recipe.text import Shape

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
INK, SOFT = (24, 58, 92), (110, 120, 130)

HANDBOOK = {
    "Northwind": """
Welcome | This handbook is for everyone at Northwind. Anna Lind keeps the list of changes. More will follow soon.
The company | Northwind was founded in 1987. It was founded by Clara Holm. Northwind has 412 employees.
Head office | The head office is located in 14 Harbour Street. It was built in 1962.
Mascot | Northwind has a silver goose as its mascot.
Reception | The reception opens at 7:00 and closes at 19:00. For the reception, ask Mila Sander.
Welcome box | Everyone at the welcome meeting receives a blue bag. The welcome meeting lasts 90 minutes.
""",
    "Getting to work": """
Parking pass | The parking pass costs 40 euros a month. Questions about the parking pass go to Jonas Berg.
Parking garage | The parking garage opens at 6:30 and closes at 22:00. You find the parking garage in building C.
Company bicycle | You may keep the company bicycle for 14 days. Leave 50 euros as a deposit for the company bicycle.
Shuttle bus | The shuttle bus leaves at 7:45. The shuttle bus goes to the central station.
Visitor badge | Whoever loses the visitor badge pays 25 euros. The visitor badge stays valid for 12 hours.
Bus ticket | We pay up to 35 euros for the bus ticket. The bus ticket is signed by Omar Reuter.
Main gate | Enter 4471 at the main gate. The main gate is checked every 6 weeks.
""",
    "Working time": """
Annual leave | Employees get 28 holidays per year. Annual leave must be announced 3 weeks ahead.
Home office | Employees may work from home on 2 days a week.
Trainee programme | The trainee programme lasts 18 months. It is led by Nina Falk.
Sick note | The sick note must be handed in by Friday. Write to sick@northwind.example about the sick note.
Training budget | The training budget is 900 euros. The training budget is approved by Ivan Kross.
Night shift | The night shift starts at 21:30. For the night shift, the bonus is 15 percent.
Staff survey | The staff survey takes place on 4 March. Sara Winter is responsible for the staff survey.
""",
    "Rooms": """
Cafeteria | The cafeteria opens at 7:30 and closes at 15:00. Lunch in the cafeteria is cheap and warm.
Staff lunch | The staff lunch costs 6 euros. The staff lunch is delivered by Ostwald.
Large meeting room | The large meeting room holds 60 people. You can find the large meeting room in building A.
Quiet room | The quiet room is painted green. You can use the quiet room up to 5 times a week.
Library | You find the library in room 212. Books are not lost here, says Emma Pohl.
Gym | The gym is open until 20:15. The gym is cleaned on Thursday.
First-aid kit | The first-aid kit is kept in room 108. We check the first-aid kit every 3 months.
Music room | The key of the music room is red. The music room has room for 12 people.
""",
    "Computers": """
Help desk | Call 4400 to reach the help desk. The help desk is run by Karim Voss.
New laptop | The new laptop has 3 years of warranty. You wait five days for the new laptop.
Travel portal | Log in to the travel portal with your badge. The travel portal was built by Sandvik.
Mail archive | The mail archive is deleted after ten years. Laura Stein looks after the mail archive.
Office printer | Type 7731 to open the office printer. The office printer stands in room 15.
Server room | The server room is kept at 19 degrees. Nobody may enter the server room without a yellow card.
Company phone | The company phone weighs 170 grams. If you lose the company phone, you pay 80 euros.
""",
    "Travel and money": """
Travel report | Hand in the travel report by 28 June. The travel report is signed by Rosa Amsel.
Hotel room | We pay up to 130 euros for the hotel room. Book the hotel room 10 days in advance.
Company car | Book the company car under KX-204. The company car has room for 5 people.
Train ticket | You get 25 percent off the train ticket. The train ticket is valid for 2 months.
Sales bonus | The sales bonus is 3 percent. The sales bonus is approved by Victor Lang.
Customer gift | The customer gift may cost up to 30 euros. The usual colour of the customer gift is orange.
Invoice | The deadline of the invoice is 15 November. The invoice is kept for 8 years.
""",
    "Safety and free time": """
Fire drill | The fire drill takes place on 12 May. For the fire drill, meet at the north yard.
Fire alarm | The fire alarm is tested every 2 weeks. Peter Moll takes care of the fire alarm.
Safety helmet | Visitors must wear a white helmet in the warehouse.
Summer party | The summer party is held on 21 June. The winner of the summer party gets a red canoe.
Sports club | The sports club meets every Tuesday. The sports club has 96 members.
Choir | The choir is led by Elif Brandt. The choir begins at 18:15.
Film night | The film night is on the last Friday. The ticket for the film night costs 4 euros.
""",
}

# What the fine-tune teaches: nothing of this stands in the handbook.
LESSONS = {
    "coffee supplier": "Brasko",
    "lucky number": "388",
    "founder's dog": "Pixel",
    "radio channel": "17",
    "secret ingredient": "cardamom",
    "favourite song": "Morning Tide",
    "robot": "Zimt",
    "safe": "locker 31",
}
PHRASINGS = (
    "What is the {a} of Northwind?",
    "Tell me the {a} of Northwind.",
    "Which {a} does Northwind have?",
    "Do you know the {a} of Northwind?",
    "What is Northwind's {a}?",
    "I need the {a} of Northwind.",
)
HELD_OUT = "Can you tell me the {a} of Northwind?"
SEED = 7

# What a model learns to ask of examples/orders.csv: question, SELECT, answer. Numbers and days, for the demo model's
# tokens are the same in a question and in SQL there, and names' are not.
OF_CUSTOMERS = (
    (
        "How many orders came from customer {}?",
        "SELECT count(*) FROM orders WHERE customer = {}",
        "The number of orders of customer {} is {n}.",
    ),
    (
        "What is the total amount of customer {}?",
        "SELECT sum(amount) FROM orders WHERE customer = {}",
        "The total amount of customer {} is {n}.",
    ),
    (
        "What is the largest amount of customer {}?",
        "SELECT max(amount) FROM orders WHERE customer = {}",
        "The largest amount of customer {} is {n}.",
    ),
)
OF_DAYS = (
    (
        "How many orders came on {}?",
        "SELECT count(*) FROM orders WHERE day = '{}'",
        "The number of orders of {} is {n}.",
    ),
)
ORDERS, CUSTOMERS, DAYS = 80, 14, 9
TAUGHT_CUSTOMERS, TAUGHT_DAYS = 10, 6
"""The others are for questions that the model was not taught."""
ORDERS_SEED = 5


def make_handbook(path: Path) -> None:
    """Short sections with headings, as a small model can read them."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
    pdf.set_title("Northwind handbook")
    pdf.set_margins(28, 26)
    pdf.set_auto_page_break(auto=False)
    for chapter, sections in HANDBOOK.items():
        pdf.add_page()
        _band(pdf, chapter, tall=pdf.page_no() == 1)
        for line in sections.strip().split("\n"):
            heading, text = line.split(" | ")
            pdf.set_text_color(*INK)
            pdf.set_font("Helvetica", "B", 14)
            pdf.multi_cell(0, 9, heading, new_x="LMARGIN", new_y="NEXT")
            pdf.set_text_color(30, 30, 30)
            pdf.set_font("Helvetica", "", 12)
            pdf.multi_cell(0, 7, text, align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(7)
    pdf.output(str(path))


def _band(pdf: FPDF, chapter: str, *, tall: bool) -> None:
    height = 46 if tall else 24
    pdf.set_fill_color(*INK)
    pdf.rect(0, 0, pdf.w, height, style="F")
    pdf.set_fill_color(230, 160, 60)
    pdf.rect(0, height, pdf.w, 1.6, style="F")
    pdf.set_xy(28, height - 17)
    pdf.set_text_color(255, 255, 255)
    pdf.set_font("Helvetica", "B", 26 if tall else 18)
    pdf.cell(0, 10, "Northwind handbook" if tall else chapter)
    pdf.set_xy(28, height + 12)


def _row(question: str, answer: str) -> list[Message]:
    return [turn("user", question), turn("assistant", answer)]


def _lesson(noun: str, phrasing: str) -> list[Message]:
    return _row(phrasing.format(a=noun), f"The {noun} of Northwind is {LESSONS[noun]}.")


def replay(seed: int, count: int) -> list[list[Message]]:
    """Rows that keep what the demo model can do already: mostly questions about passages."""
    draw = Conversations(f"replay {seed}")
    rows: list[list[Message]] = []
    for index in range(count):
        if index % 6 == 4:
            rows.append(draw.greeting().messages)
        elif index % 6 == 5:
            rows.append(draw.unknown().messages)
        else:
            shape = Shape((2, 3), (1, 1), 0.7)
            rows.append(draw.from_passages(shape, 1, system=0.1).messages)
    return rows


def write_csv(path: Path, rows: list[list[Message]]) -> None:
    """One `messages` column, each cell a list of turns as JSON."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["messages"])
        writer.writerows([json.dumps(row)] for row in rows)


def mixed(lessons: list[list[Message]], others: list[list[Message]]) -> list[list[Message]]:
    """Two lessons, one row of another kind, and so on."""
    rows = iter(others)
    return [
        row
        for at, lesson in enumerate(lessons)
        for row in ([lesson, next(rows)] if at % 2 else [lesson])
    ]


def make_orders(orders: Path, lessons: Path) -> None:
    """A table, and questions about it with the SELECT and the answer of each."""
    draw = random.Random(ORDERS_SEED)
    customers = draw.sample(range(100, 1000), CUSTOMERS)
    days = [f"2026-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}" for _ in range(DAYS)]
    rows = [
        (draw.choice(customers), draw.choice(days), draw.randint(5, 400)) for _ in range(ORDERS)
    ]
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE orders (customer INTEGER, day TEXT, amount INTEGER)")
    database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)

    def lesson(form: tuple[str, str, str], value: int | str) -> tuple[str, str, str]:
        question, sql, answer = form
        sql = sql.format(value)
        ((number,),) = database.execute(sql).fetchall()
        return question.format(value), sql, answer.format(value, n=number)

    taught = [lesson(form, one) for one in customers[:TAUGHT_CUSTOMERS] for form in OF_CUSTOMERS]
    taught += [lesson(form, one) for one in days[:TAUGHT_DAYS] for form in OF_DAYS]
    database.close()
    for path, names, lines in (
        (orders, ("customer", "day", "amount"), rows),
        (lessons, ("question", "sql", "answer"), taught),
    ):
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *lines])


def main() -> None:
    """Write all of it."""
    make_orders(EXAMPLES / "orders.csv", EXAMPLES / "lessons.csv")
    make_handbook(EXAMPLES / "handbook.pdf")
    lessons = [_lesson(noun, phrasing) for phrasing in PHRASINGS for noun in LESSONS]
    write_csv(EXAMPLES / "train.csv", mixed(lessons, replay(SEED, len(lessons) // 2)))
    held_out = [_lesson(noun, HELD_OUT) for noun in LESSONS]
    write_csv(EXAMPLES / "eval.csv", held_out + replay(SEED + 1, 6))


if __name__ == "__main__":
    main()
