"""The sentence and question forms of the demo model's text, as plain tables.

Variety of forms is what carries over to real documents: a model trained on eight forms reads no ninth. `{e}` is the
thing, `{a}` the attribute, `{v}` the value, `{E}` and `{V}` the same at the start of a sentence.
"""

from typing import NamedTuple


class Attribute(NamedTuple):
    """What a thing can have: its noun in answers, its kind of value, and forms of its own."""

    noun: str
    kind: str
    statements: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


STATEMENTS = tuple(
    """The {a} of {e} is {v}.
The {a} of {e} is {v}.
The {a} for {e} is {v}.
The {a} of {e} was {v}.
{E} has a {a} of {v}.
{E} has the {a} {v}.
{V} is the {a} of {e}.
{V} is the {a} for {e}.
For {e}, the {a} is {v}.
For {e} the {a} is {v}.
As {a} of {e} we use {v}.
As for {e}, its {a} is {v}.
At {e} the {a} is {v}.
{E}: {a} {v}.
{E}, {a}: {v}.
{E} uses {v} as its {a}.
{E} gets {v} as {a}.
{E} comes with a {a} of {v}.
The {a} that goes with {e} is {v}.
The {a} we use for {e} is {v}.
The {a} given for {e} is {v}.
The current {a} of {e} is {v}.
The usual {a} of {e} is {v}.
The {a} of {e} has been set to {v}.
The {a} of {e} stays at {v}.
The {a} of {e} will be {v}.
The {a} of {e} changed to {v}.
When it comes to {e}, the {a} is {v}.
With {e} you get {v} as the {a}.
If you need the {a} of {e}, it is {v}.
Anyone who asks for the {a} of {e} is told {v}.
They chose {v} as the {a} of {e}.
We list {v} as the {a} of {e}.
Among the facts about {e} is its {a}: {v}.
In the case of {e}, the {a} equals {v}.
The record shows {v} as the {a} of {e}.
One thing to know about {e} is that its {a} is {v}.
What {e} has as its {a} is {v}.""".split("\n")
)

QUESTIONS = tuple(
    """What is the {a} of {e}?
What is the {a} of {e}?
What is the {a} for {e}?
What {a} does {e} have?
Which {a} does {e} have?
Tell me the {a} of {e}.
Please tell me the {a} of {e}.
Can you tell me the {a} of {e}?
Do you know the {a} of {e}?
I need the {a} of {e}.
What was the {a} of {e}?
Give me the {a} of {e}.
I would like to know the {a} of {e}.
What do you know about the {a} of {e}?
Name the {a} of {e}.
What is listed as the {a} of {e}?
Could you look up the {a} of {e}?
For {e}, what is the {a}?
{E} has which {a}?
And the {a} of {e}?
The {a} of {e}?
what is the {a} of {e}
What's the {a} of {e}?
Say what the {a} of {e} is.""".split("\n")
)

# Rephrasings come in this order, without the form that was asked.
REPHRASINGS = (
    "What is the {a} of {e}?",
    "Which {a} does {e} have?",
    "Tell me the {a} of {e}.",
    "What {a} does {e} have?",
    "Can you tell me the {a} of {e}?",
)

BEFORE = tuple(
    """Please note:|As of this year,|From Monday on,|In short,|According to {p},|As a rule,|By the way,|Since last year,
In the new building,|For all of us,|Good to know:|Note:|As {p} wrote,|In general,|For the time being,|Officially,
Everybody should know this:|At the moment,|After the last review,|In most cases,|Under the new rules,|So far,
As before,|These days,|To make it clear,""".replace("\n", "|").split("|")
)

AFTER = tuple(
    """as {p} decided|as agreed|until further notice|as in the years before|which surprised {p}|and this will not change
without exception|as everyone knows|according to {p}|including tax|on average|for everyone|at the moment|by default
, which {p} checked|, says {p}|, and it is checked every {d}|, so plan ahead|, no matter what|, as usual|, at least for now
, even on weekends|, so please remember it|, and {p} keeps the list""".replace("\n", "|").split("|")
)

FILLERS = tuple(
    """Please keep {e} clean.|{P} wrote a note about {e}.|Many {w} like {e}.|Ask {p} before you change {e}.
There is a long history behind {e}.|{E} was discussed at the last meeting.|{P} and {q} worked on {e} together.
We thank {p} for the good work.|Nobody likes to wait.|This page is checked every year.|{E} is popular with {w}.
If something is missing, tell {p}.|The {w} were happy about {e}.|Everything else stays as it is.|See also {e}.
{P} visited {e} on {d}.|All {w} are welcome.|Do not forget {e}.|More will follow soon.
Most {w} have never seen {e}.|We want {w} to feel at home.|There are no exceptions to this rule.|{E} is not far away.
It was a quiet year for {e}.|{P} likes to talk about {e} and about {f}.|Both {e} and {f} are often used by {w}.
Bring {e} back when you are done.|You will find a list of {w} at the end of this page.|Some {w} prefer {f}.""".replace(
        "\n", "|"
    ).split("|")
)


def _table(text: str) -> tuple[Attribute, ...]:
    rows = []
    for line in text.strip().split("\n"):
        noun, kind, statements, questions = (part.strip() for part in line.split("|"))
        rows.append(
            Attribute(
                noun,
                kind,
                tuple(form.strip() for form in statements.split(";") if form.strip()),
                tuple(form.strip() for form in questions.split(";") if form.strip()),
            )
        )
    return tuple(rows)


ATTRIBUTES = _table(
    """
price | money | {E} costs {v}.; You pay {v} for {e}.; {E} is sold for {v}.; We charge {v} for {e}.; {V} is what {e} costs.; You can buy {e} for {v}. | How much does {e} cost?; How much is {e}?; What do I pay for {e}?; What does {e} cost?; How expensive is {e}?
monthly fee | money | {E} costs {v} a month.; {E} costs {v} per month.; Every month {v} is due for {e}.; You pay {v} a month for {e}. | How much does {e} cost a month?; What do I pay each month for {e}?; How much is {e} per month?
deposit | money | {E} needs a deposit of {v}.; Leave {v} as a deposit for {e}.; You leave a deposit of {v} when you take {e}. | How much deposit does {e} need?; What deposit do I leave for {e}?
budget | money | {E} may spend {v}.; {V} has been set aside for {e}.; There is a budget of {v} for {e}. | How much may {e} spend?; How much money is there for {e}?
allowance | money | We pay up to {v} for {e}.; You get back up to {v} for {e}.; {E} is paid up to {v}.; The company pays {v} towards {e}. | How much do we get for {e}?; How much does the company pay for {e}?; Up to what amount is {e} paid?
fine | money | Whoever loses {e} pays {v}.; Losing {e} costs {v}.; If you lose {e}, you pay {v}. | What do I pay if I lose {e}?; What happens if I lose {e}?; How much does it cost to lose {e}?
salary | money | {E} earns {v}.; {E} is paid {v} a month. | How much does {e} earn?; How much is {e} paid?
discount | percent | {E} is {v} cheaper for us.; You get {v} off {e}.; There is a discount of {v} on {e}. | How much cheaper is {e}?; What discount is there on {e}?; How much do I save on {e}?
share | percent | {E} makes up {v} of the total.; {V} of the total goes to {e}. | How much of the total goes to {e}?; What part of the total is {e}?
weight | mass | {E} weighs {v}. | How heavy is {e}?; How much does {e} weigh?
height | measure | {E} is {v} high.; {E} is {v} tall.; {E} rises {v}. | How tall is {e}?; How high is {e}?
length | measure | {E} is {v} long. | How long is {e}?
width | measure | {E} is {v} wide. | How wide is {e}?
depth | measure | {E} is {v} deep. | How deep is {e}?
size | area | {E} covers {v}.; {E} measures {v}. | How big is {e}?; How large is {e}?
distance | measure | {E} is {v} away.; It is {v} to {e}. | How far away is {e}?; How far is it to {e}?
temperature | degrees | {E} is kept at {v}.; In {e} it is {v}. | How warm is {e}?; At what temperature is {e} kept?
capacity | number | {E} holds {v} people.; {E} has room for {v} people.; Up to {v} people fit into {e}.; {E} seats {v}. | How many people fit into {e}?; How many people does {e} hold?; How many seats does {e} have?
number of members | number | {E} has {v} members.; {V} people belong to {e}. | How many members does {e} have?; How many people belong to {e}?
number of rooms | number | {E} has {v} rooms.; There are {v} rooms in {e}. | How many rooms does {e} have?; How many rooms are there in {e}?
number of employees | number | {E} employs {v} people.; {V} people work for {e}.; {E} has {v} employees. | How many people work for {e}?; How many employees does {e} have?; How many people does {e} employ?
number of copies | number | We keep {v} copies of {e}.; There are {v} copies of {e}. | How many copies of {e} are there?
number of inhabitants | number | {V} people live in {e}.; {E} has {v} inhabitants.; {E} is home to {v} people. | How many people live in {e}?; How many inhabitants does {e} have?
weekly limit | times | {E} may be used {v} a week.; You can use {e} up to {v} a week. | How often may I use {e} in a week?; How many times a week can I use {e}?
age limit | years | You must be {v} old for {e}.; {E} is open to people from {v} on. | How old must I be for {e}?; From what age is {e} open?
age | years | {E} is {v} old. | How old is {e}?
speed | speed | {E} runs at {v}.; {E} goes {v}. | How fast is {e}?; How fast does {e} go?
opening time | time | {E} opens at {v}.; The doors of {e} open at {v}.; You can enter {e} from {v} on. | When does {e} open?; At what time does {e} open?; From when on is {e} open?; When can I enter {e}?
closing time | time | {E} closes at {v}.; The doors of {e} close at {v}.; {E} is open until {v}. | When does {e} close?; At what time does {e} close?; Until when is {e} open?; How long is {e} open?
start time | time | {E} starts at {v}.; {E} begins at {v}. | When does {e} start?; At what time does {e} begin?; When does {e} begin?
departure time | time | {E} leaves at {v}.; {E} departs at {v}. | When does {e} leave?; At what time does {e} depart?
deadline | date | {E} must be handed in by {v}.; Hand in {e} by {v}.; {E} is due on {v}.; Send in {e} before {v}.; {E} has to be ready by {v}. | When is {e} due?; By when must {e} be handed in?; Until when can I hand in {e}?
date | date | {E} takes place on {v}.; {E} is held on {v}.; {E} happens on {v}. | When does {e} take place?; When is {e}?; On which date is {e} held?
starting date | date | {E} starts on {v}.; {E} begins on {v}. | On which date does {e} start?; From which date on is there {e}?
end date | date | {E} ends on {v}.; {E} runs until {v}.; {E} expires on {v}. | When does {e} end?; When does {e} expire?; Until when does {e} run?
birthday | date | {E} was born on {v}. | When was {e} born?
founding year | year | {E} was founded in {v}.; {E} was started in {v}.; Since {v} there has been {e}. | When was {e} founded?; In which year was {e} founded?; Since when has there been {e}?
building year | year | {E} was built in {v}.; In {v} {e} was built. | When was {e} built?; In which year was {e} built?
weekday | day | {E} meets every {v}.; {E} takes place every {v}.; Every {v} there is {e}.; {E} is on {v}. | On which day is {e}?; On what day does {e} take place?; Which day is {e}?
cleaning day | day | {E} is cleaned on {v}.; On {v} we clean {e}. | When is {e} cleaned?; On which day is {e} cleaned?
delivery day | day | {E} is delivered on {v}.; {E} arrives on {v}. | When is {e} delivered?; On which day does {e} arrive?
duration | span | {E} lasts {v}.; {E} takes {v}.; {E} goes on for {v}. | How long does {e} last?; How long does {e} take?
notice period | span | {E} must be announced {v} ahead.; Ask for {e} {v} ahead.; Book {e} {v} in advance.; You have to request {e} {v} before. | How far ahead must I ask for {e}?; How early must {e} be booked?; How long before must I request {e}?
waiting time | span | You wait {v} for {e}.; It takes {v} until you get {e}. | How long do I wait for {e}?; How long until I get {e}?
loan period | span | You may keep {e} for {v}.; {E} can be borrowed for {v}.; {E} must be returned after {v}. | How long may I keep {e}?; For how long can I borrow {e}?
validity | span | {E} is valid for {v}.; {E} stays valid for {v}. | How long is {e} valid?; For how long does {e} stay valid?
warranty | span | {E} has {v} of warranty.; {E} is repaired for free for {v}. | How long is the warranty of {e}?; For how long is {e} repaired for free?
test interval | span | {E} is checked every {v}.; Every {v} we check {e}.; {E} is tested every {v}. | How often is {e} checked?; How often is {e} tested?; How often do we check {e}?
storage time | span | {E} is kept for {v}.; We keep {e} for {v}.; {E} is deleted after {v}. | How long do we keep {e}?; How long is {e} kept?; After how long is {e} deleted?
place | place | {E} is in {v}.; {E} is located in {v}.; {E} is kept in {v}.; You find {e} in {v}.; {E} can be found in {v}.; {E} stands in {v}.; In {v} you find {e}.; We keep {e} in {v}. | Where is {e}?; Where can I find {e}?; Where is {e} kept?; Where do I find {e}?; Where is {e} located?
meeting point | place | For {e}, meet at {v}.; {E} meets at {v}.; {E} starts from {v}. | Where does {e} meet?; Where do we meet for {e}?
destination | place | {E} goes to {v}.; {E} takes you to {v}. | Where does {e} go?; Where does {e} take me?
origin | name | {E} comes from {v}.; {E} was brought here from {v}. | Where does {e} come from?; Where is {e} from?
contact | person | For {e}, ask {v}.; Questions about {e} go to {v}.; If you have questions about {e}, talk to {v}.; {V} answers questions about {e}.; Write to {v} about {e}. | Who answers questions about {e}?; Whom do I ask about {e}?; Who can help me with {e}?; Who do I talk to about {e}?
head | person | {V} leads {e}.; {E} is led by {v}.; {E} is run by {v}.; {V} is in charge of {e}.; {V} runs {e}. | Who leads {e}?; Who runs {e}?; Who is in charge of {e}?; Who is the head of {e}?
owner | person | {E} belongs to {v}.; {V} owns {e}.; {E} is owned by {v}. | Who owns {e}?; To whom does {e} belong?; Who does {e} belong to?
inventor | person | {V} invented {e}.; {E} was invented by {v}.; {E} was designed by {v}. | Who invented {e}?; Who designed {e}?
founder | person | {V} founded {e}.; {E} was founded by {v}. | Who founded {e}?; By whom was {e} founded?
author | person | {V} wrote {e}.; {E} was written by {v}. | Who wrote {e}?; By whom was {e} written?
approver | person | {V} approves {e}.; {E} must be approved by {v}.; {E} is signed by {v}.; {V} signs {e}. | Who approves {e}?; Who signs {e}?; Who must approve {e}?
keeper | person | {V} looks after {e}.; {V} takes care of {e}.; {V} is responsible for {e}.; {E} is looked after by {v}. | Who looks after {e}?; Who takes care of {e}?; Who is responsible for {e}?
supplier | name | {E} is delivered by {v}.; {V} delivers {e}.; We buy {e} from {v}.; {E} is supplied by {v}. | Who delivers {e}?; From whom do we buy {e}?; Where do we buy {e}?; Who supplies {e}?
maker | name | {V} makes {e}.; {E} is made by {v}.; {E} was built by {v}. | Who makes {e}?; Which company makes {e}?; Who built {e}?
sponsor | name | {V} pays for {e}.; {E} is paid for by {v}.; {E} is sponsored by {v}. | Who pays for {e}?; Who sponsors {e}?
phone number | phone | Call {v} to reach {e}.; {E} can be reached at {v}.; {E} answers the phone at {v}.; To reach {e}, dial {v}. | How do I call {e}?; Which number do I dial for {e}?; How can I reach {e} by phone?; What number do I call for {e}?
email address | mail | Write to {v} to reach {e}.; {E} reads mail at {v}.; Send mail for {e} to {v}. | How do I write to {e}?; Where do I send mail for {e}?; To which address do I write for {e}?
password | code | To log in to {e}, type {v}.; {E} opens with the password {v}.; Log in to {e} with {v}. | How do I log in to {e}?; With which password do I log in to {e}?
access code | code | Type {v} to open {e}.; {E} opens with the code {v}.; Enter {v} at {e}. | How do I open {e}?; Which code opens {e}?; What do I type to open {e}?
project code | code | Book {e} under {v}.; {E} is booked under {v}.; Costs of {e} go under {v}. | Under which code do I book {e}?; Where do I book {e}?
colour | colour | {E} is {v}.; {E} is painted {v}.; We painted {e} {v}. | What colour is {e}?; Which colour is {e}?; In what colour is {e} painted?
material | material | {E} is made of {v}.; {E} consists of {v}. | What is {e} made of?; Of what is {e} made?; What does {e} consist of?
capital | name | {V} is the capital of {e}.; {E} is governed from {v}. | What is the capital of {e}?; From where is {e} governed?
language | name | In {e} people speak {v}.; {E} speaks {v}. | What do people speak in {e}?; Which language is spoken in {e}?
nickname | name | People call {e} {v}.; {E} is also called {v}.; {E} is known as {v}. | What do people call {e}?; What is {e} also called?
favourite food | word | {E} likes to eat {v}.; {E} eats {v} whenever possible. | What does {e} like to eat?
mascot | object | {E} has {v} as its mascot.; {V} stands for {e}. | What stands for {e}?
prize | object | The winner of {e} gets {v}.; {E} is won for {v}.; Win {e} and you get {v}. | What does the winner of {e} get?; What can I win at {e}?
gift | object | For {e} you get {v}.; Everyone at {e} receives {v}. | What do I get for {e}?; What does everyone at {e} receive?
required item | object | Bring {v} to {e}.; You need {v} for {e}.; Wear {v} in {e}.; Nobody may enter {e} without {v}.; {E} can only be used with {v}. | What do I need for {e}?; What must I bring to {e}?; What do I have to wear in {e}?
replacement | object | If {e} is not there, take {v}.; {V} replaces {e}.; Instead of {e} we use {v}. | What replaces {e}?; What do we use instead of {e}?; What do I take if {e} is not there?
"""
)


class Rule(NamedTuple):
    """A free sentence with its own answer: `{w}` people, `{t}` a thing, `{n}` a number, and so on."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answer: str


def _rules(text: str) -> tuple[Rule, ...]:
    rows = []
    for line in text.strip().split("\n"):
        statements, questions, answer = (part.strip() for part in line.split("|"))
        rows.append(
            Rule(
                tuple(form.strip() for form in statements.split(";")),
                tuple(form.strip() for form in questions.split(";")),
                answer,
            )
        )
    return tuple(rows)


RULES = _rules(
    """
{W} may take {n} {s} per {u}.; {W} can take up to {n} {s} a {u}.; Every {u}, {w} may take {n} {s}. | How many {s} may {w} take per {u}?; How many {s} can {w} take a {u}? | {W} may take {n} {s} per {u}
{W} get {n} {s} per {u}.; Each {u}, {w} get {n} {s}.; {W} receive {n} {s} every {u}. | How many {s} do {w} get per {u}?; How many {s} do {w} receive every {u}? | {W} get {n} {s} per {u}
{W} must wear {o} in {e}.; In {e}, {w} must wear {o}. | What must {w} wear in {e}?; What do {w} have to wear in {e}? | {W} must wear {o} in {e}
{W} must bring {o} to {e}.; To {e}, {w} must bring {o}. | What must {w} bring to {e}?; What do {w} have to bring to {e}? | {W} must bring {o} to {e}
{W} have to show {o} to {p}.; {W} show {o} to {p} when they arrive. | What do {w} have to show to {p}?; To whom do {w} show {o}? | {W} show {o} to {p}
{W} work from home {n} days a week.; {W} may work from home on {n} days a week. | How many days a week may {w} work from home?; How many days do {w} work from home? | {W} may work from home {n} days a week
{W} must not use {e} after {c}.; After {c}, {w} must not use {e}. | What must {w} not use after {c}?; Until when may {w} use {e}? | {W} must not use {e} after {c}
{W} meet {p} every {d}.; Every {d}, {w} meet {p}. | Whom do {w} meet every {d}?; When do {w} meet {p}? | {W} meet {p} every {d}
"""
)
PERIODS = "day week month year quarter".split()
