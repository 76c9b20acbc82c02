"""`purposegate conflicts confirm` and `reject`: what a person decides of a candidate, kept and in the ledger."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from purposegate.application import identification
from purposegate.cli._conflicts_force import Force, newest, open_force, open_store
from purposegate.cli._conflicts_import import record
from purposegate.cli._conflicts_lookback import looking_back, print_hits
from purposegate.cli._ledger_query import GIVEN, system_user
from purposegate.conflicts.circle import Seen, seen
from purposegate.conflicts.decisions import Decision, Verdict, known
from purposegate.conflicts.register import RegisterEntry
from purposegate.conflicts.register_import import deciding
from purposegate.conflicts.written import staff_key
from purposegate.errors import SettingsError
from purposegate.exchange import Request
from purposegate.feeds.private import read_private
from purposegate.ledger.reading import SHORTEST_REASON
from purposegate.model import EntryKind, Principal, RecordRef, Tier, Whose
from purposegate.settings import Settings


class Candidate(NamedTuple):
    """What is decided: the tie's relation and source, what is known of both sides now, and its register entry, if any."""

    relation: str
    source: str
    of_entry: frozenset[str]
    of_record: frozenset[str]
    entry: RegisterEntry | None


def _options(command: click.Command) -> click.Command:
    for option in (
        click.Option(["--settings", "path"], required=True, type=GIVEN, help="purposegate.yaml."),
        click.Option(
            ["--entry", "source"],
            required=True,
            help="What found it: a register entry's id, or as `explain` names it.",
        ),
        click.Option(
            ["--token-file"],
            required=True,
            type=GIVEN,
            help="A file of mode 0600 with the bearer token of whoever decides.",
        ),
        click.Option(["--reason"], required=True, help="What shows it, in a sentence."),
    ):
        command.params.append(option)
    return command


@_options
@click.command()
@click.argument("principal")
@click.argument("of_record", metavar="RECORD")
def confirm(principal: str, of_record: str, **asked: Any) -> None:
    """Confirm that RECORD, as <kind>/<id>, is about the person whom a candidate of PRINCIPAL's names; and look back for it."""
    _decide(Verdict.CONFIRMED, principal, of_record, Asked(**asked))


@_options
@click.command()
@click.argument("principal")
@click.argument("of_record", metavar="RECORD")
def reject(principal: str, of_record: str, **asked: Any) -> None:
    """Say that RECORD, as <kind>/<id>, is about somebody else than a candidate of PRINCIPAL's names.

    It is no tie from then on, until record or entry say something that they do not say now.
    """
    _decide(Verdict.REJECTED, principal, of_record, Asked(**asked))


class Asked(NamedTuple):
    """The options of both commands."""

    path: Path
    source: str
    token_file: Path
    reason: str


def _decide(verdict: Verdict, principal: str, name: str, asked: Asked) -> None:
    kind, _, identifier = name.partition("/")
    if not (kind and identifier):
        raise click.UsageError("RECORD: want <kind>/<id>, such as person/rec-17-org")
    ref = RecordRef(kind, identifier)
    if len(asked.reason.strip()) < SHORTEST_REASON:
        raise SettingsError("--reason: say in a sentence what shows it")
    with open_force(asked.path) as force:
        who = _who(force.settings, asked.token_file, principal)
        store, now = open_store(force.settings), datetime.now(UTC)
        found = _candidate(force, principal, ref, asked.source, now)

        def made(generation: int) -> Decision:
            receipt = record(
                force.settings,
                EntryKind.MATCH,
                {
                    "principal": who.id,
                    "system_user": system_user(),
                    "reason": asked.reason,
                    "decision": {
                        "verdict": verdict.value,
                        "of": principal,
                        "entry": found.source,
                        "relation": found.relation,
                        "record": list(ref),
                        "generation": generation,
                    },
                },
            )
            return Decision(
                verdict=verdict,
                principal=staff_key(principal),
                entry=found.source,
                relation=found.relation,
                record=ref,
                of_entry=found.of_entry,
                of_record=found.of_record,
                by=who.id,
                at=now,
                receipt=receipt,
            )

        with deciding(store, made, now=now) as pending:
            pending.commit()
        click.echo(f"{verdict.value}: {principal} and {name}, {found.relation} by {found.source}")
    if verdict is Verdict.CONFIRMED and found.entry:
        _look_back(asked.path, found.entry, ref)


def _who(settings: Settings, token_file: Path, of: str) -> Principal:
    """Who decides, as their token proves. Raises `SettingsError`, `IdentityRefused`, `Outage`."""
    token = read_private(token_file, "the token").encode("utf-8")
    request = Request(
        method="POST", raw_path=b"/", path="/", headers=((b"authorization", b"Bearer " + token),)
    )
    who = asyncio.run(identification(settings)(request))
    if not settings.facts.decide_roles & set(who.roles):
        raise SettingsError("deciding candidates takes one of the roles in facts.decide_roles")
    if staff_key(who.id) == staff_key(of):
        raise SettingsError("nobody decides their own candidates: ask somebody else with the role")
    return who


def _candidate(force: Force, principal: str, ref: RecordRef, source: str, now: datetime) -> Candidate:
    """The candidate as it stands now. Raises `SettingsError` where there is none, or it is beyond deciding."""
    row, where = newest(force, ref)
    if not where:
        raise SettingsError(
            "no entry of the ledger shows this record's people: there is nothing to decide by"
        )
    people: Seen = seen(row)
    ties = force.ties(now)
    own = ties.prepare(principal)
    names = {source, f"register:{source}"}
    found = [tie for tie in ties.of(principal, Whose.PRINCIPAL, people, at=now) if tie.entry in names]
    before = [one for one in own.decided(ref) if one.entry in names]
    if not found and not before:
        raise SettingsError(
            "no tie by that entry between these two: `purposegate conflicts explain` shows those there are"
        )
    if not before and all(tie.tier is Tier.CONFIRMED for tie in found):
        raise SettingsError(
            "this tie is no candidate: what agrees leaves no doubt; mend the entry or the record instead"
        )
    found.sort(key=lambda tie: tie.tier is not Tier.CANDIDATE)
    name, relation = (found[0].entry, found[0].relation) if found else (before[0].entry, before[0].relation)
    return Candidate(
        relation=relation,
        source=name,
        of_entry=ties.known_of(own, name),
        of_record=known(subject.person for subject in people.subjects),
        entry=own.entry(name),
    )


def _look_back(path: Path, entry: RegisterEntry, ref: RecordRef) -> None:
    """Past lookups that the entry ties its principal to, now that it is known to name this record."""
    confirmed = replace(entry, records=entry.records | {ref})
    with open_force(path) as force, looking_back(force) as looking:
        hits = list(looking.hits(force, [confirmed]))
        print_hits(hits, "table")
        click.echo(f"{len(hits)} past lookups{looking.unread}", err=True)
