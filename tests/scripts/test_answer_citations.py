"""Two hundred citations of text that is ours, twenty of them tampered with: the check flags those and no others."""

import runpy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.rag.support import Passage, lacking

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "answers" / "citations.py"))
told: Callable[[Sequence[Passage], int], Iterable[Any]] = SCRIPT["told"]

TEXTS = """
Boats of the Lindholm yard are rented from 1 April to 31 October.
A rowing boat costs 18 euros an hour, a sailing boat 45 euros.
However, members of the Nordsee club pay half of the price on weekdays.
The deposit of 150 euros is returned within 14 days.
||
The museum in Tarvik was founded in 1911 by the painter Hanna Brekke. It shows 340 paintings on three floors.
Additionally, the garden is open to all visitors until the evening, and dogs are not allowed in it.
The restaurant beside the garden offers lunch from Tuesday to Saturday.
||
The Kestrel 40 drone flies for 38 minutes with one battery and carries up to 2.5 kg.
Charging the battery takes 90 minutes with the charger that comes with it. The drone may not be used in rain.
In addition, pilots require a licence from the aviation office in Bergamo before the first flight.
||
Employees of Rhenus Textile receive 28 days of paid holiday a year.
Holidays must be requested at least four weeks in advance.
Part of the holiday, up to 5 days, can be carried over to March of the next year.
Sick days are not counted as holiday.
The company gave every employee a bonus of $1,500 in December 2022.
||
The library lends books for 21 days and films for seven days.
Late books cost 20 cents a day, and the fee is never higher than 10 euros.
Readers under the age of 12 need the signature of a parent. The branch in Oderstadt is closed on Mondays.
||
Alpine Bank reported a net profit of $84 million in 2021, which is 12% more than in the year before.
The board, led by Ingrid Solberg, proposed a dividend of $3.40 per share.
Costs rose by 5% because of the new branch in Lugano.
The number of customers was 412,000 at the end of June.
||
Water the Sorrel palm twice a week in summer and once a month in winter.
The plant is not suitable for rooms colder than 12 degrees.
Generally, the leaves are cleaned with a damp cloth every 30 days. Do not place the palm in direct sun before May.
||
The ferry from Korsholm to Vaasa departs at 7:30 and takes 55 minutes.
Bicycles are carried for 4 euros, such as in the years before.
Passengers with a season ticket may board without a reservation.
The crossing was cancelled on 12 January 2023 due to ice.
||
The Meridian printer prints 32 pages per minute and holds 500 sheets of paper. The toner lasts for 6,000 pages.
To ensure good results, the manufacturer in Osaka recommends paper of 80 grams.
Photos cannot be printed from the second tray.
||
Doctor Amara Nwosu leads the clinic since 2016 and is assisted by eleven nurses.
Patients obtain an appointment within 3 days.
The clinic does not accept credit cards. Blood tests are made between 8:00 and 10:30 on working days.
||
The hiking path to Mount Ruvo is 14 km long and rises by 900 metres. Hikers should carry at least 2 litres of water.
The hut below the summit is open from June to September, and its 26 beds are booked by telephone.
Fires are prohibited.
||
The Falkner award of 2019 went to the novel about a lighthouse by Teresa Olmo.
The jury of nine read 212 books in five months.
The prize of 25,000 euros is paid by the city of Girona. The novel has not been translated into English.
"""
PASSAGES = [Passage(text.strip(), f"text {n}") for n, text in enumerate(TEXTS.split("||"), start=1)]


@pytest.mark.parametrize("seed", range(5))
def test_the_tampered_citations_are_flagged_and_no_true_one(seed: int) -> None:
    statements = list(told(PASSAGES, seed))
    assert (len(statements), sum(one.is_true for one in statements)) == (200, 180)
    flagged = {one: lacking(one.statement, [one.passage]) for one in statements}
    assert [one for one, why in flagged.items() if bool(why) is one.is_true] == []


ROWS = [("Anna Berg", "Engineer", 4711), ("Ben Kraus", "Cook", 4712), ("Cleo Dahl", "Driver", 4713)]
TABLE = Passage(
    "\n".join(f"Name: {name}; Role: {role}; Phone: {phone}" for name, role, phone in ROWS), "staff"
)


@pytest.mark.parametrize("told_of", range(3))
@pytest.mark.parametrize("row", range(3))
def test_a_cell_of_another_row_is_flagged(told_of: int, row: int) -> None:
    name, (_, role, phone) = ROWS[told_of][0], ROWS[row]
    says = [
        f"The phone number of {name} is {phone}.",
        f"{name} works as a {role.casefold()}.",
        f"Name: {name}; Role: {ROWS[told_of][1]}; Phone: {phone}",
    ]
    assert [bool(lacking(one, [TABLE])) for one in says] == [told_of != row] * 3
