"""pseudopeople's simulated census: lists of 2020 against records of 2030, spoilt on purpose in stated ways.

The wheel's data is clean, and nobody in it changes their name, so all errors are made here, from one seed, each labelled. Half of
the people moved in between, which is the simulation's own doing.
"""

import csv
import random
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from nicknames import NickNamer

from purposegate.model import Address, Identity, Name

ROOT = Path(__file__).parents[1]
WHEEL = ROOT / ".cache" / "wheels" / "pseudopeople-1.3.1-py3-none-any.whl"
TABLE = "pseudopeople/data/sample_datasets/decennial_census/decennial_census.parquet"
LINKAGE, PLACES = ROOT / ".cache/peers/linkage", ROOT / ".cache/peers/places"
sys.path += [str(LINKAGE), str(PLACES)]  # installed beside the virtual environment, which they stay out of

ERROR, CHANGED, MISSING = 0.20, 0.05, 0.10
"""Shares of the records of 2030 with one error in name or birth, with another surname, and without a date of birth."""
TOWN = "Anytown"
SEED = 2030
LETTERS = "abcdefghijklmnopqrstuvwxyz"

ERRORS = ("given_typo", "surname_typo", "nickname", "names_swapped", "birth_digit", "birth_swapped")


class Person(NamedTuple):
    """One row of the census: the person's own number, and what the row says of them. `spoilt` is what was done to it."""

    truth: str
    given: str
    initial: str
    surname: str
    born: str
    number: str
    street: str
    unit: str
    spoilt: tuple[str, ...] = ()

    @property
    def home(self) -> tuple[str, str, str]:
        """Where the row says that they live."""
        return self.number, self.street, self.unit


def census(year: int) -> list[Person]:
    """Everybody in the census of a year, in the order of the file. The town and its postcode, one for all, are left out."""
    duckdb: Any = __import__("duckdb")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(WHEEL) as wheel:
        path = wheel.extract(TABLE, folder)
        rows = duckdb.sql(
            "select simulant_id, first_name, middle_initial, last_name, strftime(date_of_birth, '%Y-%m-%d'), "
            f"street_number, street_name, unit_number from '{path}' where year = {int(year)}"
        ).fetchall()
    return [Person._make([*(text or "" for text in row), ()]) for row in rows]


def identity(one: Person) -> Identity:
    """A person as a record shows them."""
    given = " ".join(filter(None, (one.given, one.initial)))
    return Identity(
        names=(Name(given, one.surname),),
        born=(one.born,) if one.born else (),
        addresses=(Address(number=one.number, street=one.street, unit=one.unit),),
    )


def spoilt(people: Sequence[Person]) -> list[Person]:
    """The same people as a careless office would have written them down, each with the names of what was done."""
    rng = random.Random(SEED)
    surnames = sorted({one.surname for one in people})
    written = list(_written({one.home for one in people if any(one.home)}))
    addresses = dict(written)
    found = []
    for one in people:
        kinds = []
        if rng.random() < CHANGED:
            one = one._replace(surname=rng.choice([name for name in surnames if name != one.surname]))  # noqa: PLW2901
            kinds.append("surname_changed")
        if rng.random() < ERROR:
            one, kind = _with_error(one, rng)  # noqa: PLW2901
            kinds.append(kind)
        if rng.random() < MISSING:
            one = one._replace(born="")  # noqa: PLW2901
            kinds.append("birth_missing")
        line, applied = addresses.get(one.home, ("", False))
        if applied:
            kinds.append("address_error")
        found.append(one._replace(number="", street=line, unit="", spoilt=tuple(kinds)))
    return found


def _with_error(one: Person, rng: random.Random) -> tuple[Person, str]:
    """One error, of the kinds that this person's row allows."""
    for kind in rng.sample(ERRORS, len(ERRORS)):
        changed = _changed(one, kind, rng)
        if changed != one:
            return changed, kind
    return one, "none"


def _changed(one: Person, kind: str, rng: random.Random) -> Person:
    match kind:
        case "given_typo":
            return one._replace(given=_mistyped(one.given, rng))
        case "surname_typo":
            return one._replace(surname=_mistyped(one.surname, rng))
        case "nickname":
            short = sorted(NickNamer().nicknames_of(one.given.lower()))
            return one._replace(given=rng.choice(short).title()) if short else one
        case "names_swapped":
            return one._replace(given=one.surname, surname=one.given)
        case "birth_digit":
            place = rng.choice([at for at, char in enumerate(one.born) if char.isdigit() and at > 1])
            digit = rng.choice([digit for digit in "0123456789" if digit != one.born[place]])
            return one._replace(born=one.born[:place] + digit + one.born[place + 1 :])
        case _:
            year, month, day = one.born.split("-")
            return one._replace(born=f"{year}-{day}-{month}")


def _mistyped(text: str, rng: random.Random) -> str:
    """One letter dropped, doubled, exchanged with its neighbour or with any other."""
    place = rng.randrange(max(1, len(text) - 1))
    head, char, tail = text[:place], text[place : place + 1], text[place + 1 :]
    return rng.choice(
        [
            head + tail,
            head + char + char + tail,
            head + tail[:1] + char + tail[1:],
            head + rng.choice(LETTERS) + tail,
        ]
    )


def _written(homes: set[tuple[str, str, str]]) -> Iterator[tuple[tuple[str, str, str], tuple[str, bool]]]:
    """Each home as people write it down, in one line, and whether an error was made in it."""
    corruption: Any = __import__("address_errors")
    listed = sorted(homes)
    columns = ("uprn", "subname", "name", "number", "streetname", "townname", "postcode")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "homes.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            sheet = csv.writer(file)
            sheet.writerow(columns)
            sheet.writerows(
                (place, unit.upper(), "", number, street.upper(), TOWN.upper(), "")
                for place, (number, street, unit) in enumerate(listed)
            )
        records = corruption.load_components(str(path))
    controls = corruption.Controls(commas=True)
    writer = corruption.Corruptor(corruption.Profile.load(), seed=SEED, controls=controls)
    writer.index(records)
    for row in writer.generate([record["uprn"] for record in records]):
        line = row["recorded_address"]
        yield listed[int(row["source_uprn"])], (line, bool(row["applied_rules"]))


def kinds_of(people: Sequence[Person]) -> list[str]:
    """Every kind of error made, in order."""
    return sorted(set(chain.from_iterable(one.spoilt for one in people)))
