"""What the gate is told: the true links less what real feeds lose, in the files that it reads.

Of the lawful links 6 % are missing, 3 % come a day late and 2 % are closed early (at a moment drawn from their length). The
draw is per link, so that dispatch, case management, tasks and what was written fail one by one. Staff, roster, register,
references and their dates are whole: only links are degraded, as the assumption was stated.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random

from benchmarks.simulation_force import DAY, START, Worker
from benchmarks.simulation_misuse import Misuse
from benchmarks.simulation_work import END, Link, Work
from purposegate.conflicts.dates import BEGINNING, FOREVER, Interval
from purposegate.facts.links import Link as FedLink
from purposegate.facts.links import node
from purposegate.facts.links_reading import LinkFeed
from purposegate.facts.links_sqlite import write_generation
from purposegate.scenario.feeds import REGISTER_COLUMNS, homes_cell, names_cell

MISSING, LATE, CLOSED_EARLY = 0.06, 0.03, 0.02


def degraded(
    links: Iterable[Link], seed: int, *, missing: float, late: float, early: float
) -> Iterator[Link]:
    """The links that arrive, as they arrive. Each kind of fault is drawn apart, so that more loss only takes more away."""
    draw = Random(f"{seed}:feeds")
    for link in links:
        lost, delayed, shut, when = draw.random(), draw.random(), draw.random(), draw.random()
        if lost < missing:
            continue
        start, end = link.start, link.end
        is_event = link.relation == "updated"
        if delayed < late:
            start += DAY
        if shut < early and not is_event:
            end = start + ((end or max(END, start + DAY)) - start) * when
        if end is not None and end <= start:
            continue  # it came after it was over, or was closed as it came
        yield replace(link, start=start, end=end)


def write(folder: Path, work: Work, planted: Sequence[Misuse], links: Iterable[Link]) -> int:
    """Write all feeds into a folder; how many links there are. They are read once: every row carries its own dates."""
    folder.mkdir(parents=True, exist_ok=True)
    staff = work.force.staff.values()
    _csv(
        folder / "directory.csv",
        "staff_id,names,born,homes,unit,joined,left,phones,plates",
        map(_member, staff),
    )
    ties = [one.tie for one in planted if one.tie is not None]
    _csv(
        folder / "register.csv",
        ",".join(REGISTER_COLUMNS),
        (
            (f"R-{number}", tie.staff, tie.relation, "self-declared", names_cell(tie.person), tie.person.born,
             homes_cell(tie.person), "", "", "", "", "", "2023-06-01", tie.staff)
            for number, tie in enumerate(ties, 1)
        ),
    )  # fmt: skip
    _csv(
        folder / "references.csv",
        "ref,kind,state,opened,closed",
        (
            (one.ref, one.kind, "open", _moment(one.opened), _moment(one.closed))
            for one in work.references.values()
        ),
    )
    _csv(folder / "assignments.csv", "ref,staff_id,from,to", ())
    _csv(folder / "reference_records.csv", "ref,kind,id", ())
    shifts = ((one.id, _moment(start), _moment(end)) for one in staff for start, end in one.duty.values())
    _csv(folder / "duty.csv", "staff_id,from,to", shifts)
    return write_generation(folder / "links.db", LinkFeed(map(_fed, links), START))


def _fed(link: Link) -> FedLink:
    held = Interval(link.start or BEGINNING, link.end or FOREVER)
    return FedLink(node(*link.source), link.relation, node(*link.target), held)


def _member(one: Worker) -> tuple[str, ...]:
    return (one.id, names_cell(one.person), one.person.born, homes_cell(one.person), one.unit.name, one.joined, "",
            ";".join(one.person.phones), ";".join(one.person.plates))  # fmt: skip


def _csv(path: Path, header: str, rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"#as_of={_moment(START)}\n")
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""
