"""What a scenario may not say, beyond its schema: words that nothing knows, lines that nothing reads, and wishes that contradict.

A misspelt purpose is refused by every gate, so a case that misspells it is "stopped at 1" whatever the policies say. Whatever
would be left aside or would decide a case by accident is a fault here. Where a lookup is meant to fail by such a word, it says
`expect: refused`.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

from purposegate import documents
from purposegate.conflicts import relations
from purposegate.documents import Document, Key
from purposegate.errors import PolicyError
from purposegate.purposes import catalogue
from purposegate.purposes.catalogue import PurposeCatalogue

Fault = tuple[Sequence[Key], str]
Specs = Mapping[str, Any]

PROVENANCES = ("self-declared", "vetting", "hr", "derived")
MEANT_TO_FAIL = frozenset({"refused", "stopped"})
OF_A_PERSON = ("name", "born", "home", "phones", "plates", "same_as")
OF_ANOTHER_KIND = ("plate", "phone", "address", "keeper", "people")
OF_A_LINK = frozenset({"staff", "reference"})
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RANGE = re.compile(r"([A-Za-z]+)([0-9]+)\.\.\1([0-9]+)")
_STEP = re.compile(r"-([a-z][a-z0-9-]*?)(?:->|-(?=\s))")
_NODE = re.compile(r"(?:->|-)\s+(?:record:)?([a-z][a-z0-9_]*)")


class Words(NamedTuple):
    """What the policies know: purposes, roles and references; relations between people; kinds and relations of links."""

    purposes: PurposeCatalogue
    ties: Collection[str]
    link_kinds: Collection[str]
    link_relations: Collection[str]

    @classmethod
    def of(cls, policies: Path) -> Self:
        """The words of a folder of policies. Raises `PolicyError`."""
        found = documents.read(policies / "conflicts.yaml", "conflicts").content["relations"]
        explaining = documents.read(policies / "facts.yaml", "facts").content.get("explanations", {})
        paths = " ".join(one["path"] for one in explaining.get("templates", {}).values())
        work = set(chain.from_iterable(explaining.get("work", {}).values()))
        return cls(
            purposes=catalogue.load(policies / "purposes.yaml"),
            ties=set(found) - {relations.SELF}
            | {word for one in found.values() for word in one.get("also", ())},
            link_kinds=set(_NODE.findall(paths)) - {"record"},
            link_relations=set(_STEP.findall(paths)) | work,
        )


def check(document: Document, words: Words | None) -> None:
    """Return if the file, valid by its schema, says nothing that would be left aside. Raises `PolicyError` with every fault."""
    if found := [document.finding(keys, expected) for keys, expected in faults(document.content, words)]:
        raise PolicyError(sorted(found, key=lambda fault: fault.line))


def faults(content: Specs, words: Words | None) -> Iterator[Fault]:
    """Every fault that the schema lets pass, with the keys that lead to it. Without `words`, those of the file alone."""
    staff = {one for written in content["staff"] for one in _ids(written)}
    yield from _staff(content["staff"])
    yield from _records(content["records"], {one.casefold() for one in staff})
    for section in ("register", "covert"):
        yield from _ties(content.get(section, ()), section, words)
    for section in ("lookups", "lawful"):
        for place, spec in enumerate(content.get(section, ())):
            yield from _lookup(spec, (section, place), content, staff, words)
    yield from _expected(content)
    if words:
        yield from _known(content, words)


def _ids(written: str) -> list[str]:
    found = _RANGE.fullmatch(written)
    if not found:
        return [written]
    return [
        f"{found[1]}{number}" for number in range(int(found[2]), min(int(found[3]), int(found[2]) + 5000) + 1)
    ]


def _day(text: str) -> date | None:
    """The day, as far as it is written: a year or a month is its first day. None where the calendar has none."""
    year, _, rest = text.partition("-")
    month, _, day = rest.partition("-")
    try:
        return date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None


def _days(spec: Specs, keys: Sequence[Key], *names: str) -> Iterator[Fault]:
    """Days that the calendar has, in the order of their names."""
    before: date | None = None
    for name in names:
        if name not in spec:
            continue
        found = _day(spec[name])
        if found is None:
            yield (*keys, name), "a day that the calendar has"
        elif before and found < before:
            yield (*keys, name), f"a day not before {names[0]}"
        before = found


def _person(spec: Specs, keys: Sequence[Key]) -> Iterator[Fault]:
    yield from _days(spec, keys, "born")
    homes = spec.get("home", ())
    for place, home in enumerate([homes] if isinstance(homes, dict) else homes):
        at = (*keys, "home") if isinstance(homes, dict) else (*keys, "home", place)
        yield from _days(home, at, "from", "to")


def _staff(specs: Specs) -> Iterator[Fault]:
    seen: set[str] = set()
    for written, spec in specs.items():
        keys = ("staff", written)
        ids = {one.casefold() for one in _ids(written)}
        if ids & seen:
            yield keys, "ids of which no other line has one, whatever their case"
        seen |= ids
        yield from _person(spec, keys)
        yield from _days(spec, keys, "joined", "left")
        for name in ("vetting", "training"):
            yield from _days(spec, keys, name)
        duty = spec.get("duty")
        if isinstance(duty, dict):
            for name in ("from", "to"):
                try:
                    time.fromisoformat(duty[name])
                except ValueError:
                    yield (*keys, "duty", name), "an hour from 00:00 to 23:59"


def _records(specs: Specs, staff: Collection[str]) -> Iterator[Fault]:
    for kind, records in specs.items():
        for name, spec in records.items():
            keys = ("records", kind, name)
            is_person = kind == "person"
            if is_person and name.casefold() in staff:
                yield keys, "an id that no member of staff has; same_as makes a record about one"
            for word in OF_ANOTHER_KIND if is_person else OF_A_PERSON:
                if word in spec:
                    yield (
                        (*keys, word),
                        "nothing of the sort: a person has name, born, home, phones, plates or same_as"
                        if is_person
                        else "nothing of the sort: describe people under people or keeper",
                    )
            if is_person and "same_as" in spec and {*spec} & {*OF_A_PERSON} != {"same_as"}:
                yield (*keys, "same_as"), "same_as, or a person described"
            yield from _person(spec, keys) if is_person else ()


def _ties(specs: Sequence[Specs], section: str, words: Words | None) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, spec in enumerate(specs):
        keys = (section, place)
        yield from _days(spec, keys, "from", "to")
        if isinstance(spec["person"], dict):
            yield from _person(spec["person"], (*keys, "person"))
        if spec.get("id") in seen:
            yield (*keys, "id"), "an id that no entry before has"
        seen |= {spec["id"]} if "id" in spec else set()
        if words and spec["relation"] not in words.ties:
            yield (*keys, "relation"), "a relation of conflicts.yaml, other than self"
        if spec.get("provenance", PROVENANCES[0]) not in PROVENANCES:
            yield (*keys, "provenance"), f"one of {', '.join(PROVENANCES)}"


def _lookup(
    spec: Specs, keys: tuple[str, int], content: Specs, staff: Collection[str], words: Words | None
) -> Iterator[Fault]:
    yield from _turns(spec, keys)
    if keys[0] == "lawful" and spec.get("lawful") is False:
        yield (*keys, "lawful"), "true: what is not lawful stands under lookups"
    is_lawful = spec.get("lawful", keys[0] == "lawful")
    if is_lawful and spec.get("expect", "released") != "released":
        yield (*keys, "expect"), "released, or nothing: a lawful lookup must go through"
    if "search" in spec and spec["search"]["kind"] not in content["records"]:
        yield (*keys, "search", "kind"), f"a kind of this file: {', '.join(content['records'])}"
    if spec.get("expect") not in MEANT_TO_FAIL:
        yield from _unknown(spec, keys, content, staff, words)


def _unknown(
    spec: Specs, keys: tuple[str, int], content: Specs, staff: Collection[str], words: Words | None
) -> Iterator[Fault]:
    if "originator" in spec and spec["originator"] not in staff:
        yield (*keys, "originator"), "the id of a member of staff"
    if spec.get("ref") and spec["ref"] not in content.get("references", {}):
        yield (*keys, "ref"), "a reference of this file (one that does not exist: expect: refused)"
    if words and spec["purpose"] not in words.purposes.purposes:
        yield (*keys, "purpose"), "a purpose of purposes.yaml that can be declared"


def _turns(spec: Specs, keys: tuple[str, int]) -> Iterator[Fault]:
    """How often, when, and whether everything in a list has its turn."""
    times = spec.get("times", 1)
    who = [spec["who"]] if isinstance(spec["who"], str) else spec["who"]
    turns = {"who": [one for written in who for one in _ids(written)]}
    turns |= {name: spec[name] for name in ("record", "reason") if isinstance(spec.get(name), list)}
    for name, written in turns.items():
        if len(written) > times:
            yield (
                (*keys, name),
                f"at most as many as there are lookups; times: {len(written)} gives each a turn",
            )
    if "every" in spec and times == 1:
        yield (*keys, "every"), "times beside it: one lookup has no interval"
    if _last(spec, times) > datetime.now(UTC):
        yield (
            (*keys, "at"),
            "moments of the past, the last one too: the watcher and the look back know the real time",
        )


def _last(spec: Specs, times: int) -> datetime:
    """Roughly when the last of these lookups is: to the day, since the zone does not matter to what is long past."""
    every = spec.get("every", "1d")
    day = _day(spec["at"][:10])
    try:
        step = timedelta(**{UNITS[every[-1]]: int(every[:-1])})
        return datetime.combine(day or date.min, time(), tzinfo=UTC) + step * (times - 1)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _expected(content: Specs) -> Iterator[Fault]:
    wanted = content["expect"]
    counted = sum(one.get("times", 1) for one in content.get("lookups", ()) if not one.get("lawful"))
    numbered = sum(one.get("times", 1) for one in content.get("lookups", ()))
    for name in ("stop_by", "raise_by"):
        number = wanted.get(name)
        if isinstance(number, int) and (number > numbered or not counted):
            yield ("expect", name), f"the number of a lookup that is not lawful: {counted} are, of {numbered}"
    if wanted.get("quiet") and isinstance(wanted.get("stop_by"), int):
        yield ("expect", "quiet"), "quiet, or stop_by: nobody is stopped without noticing"
    if not (wanted.get("quiet") or wanted.get("stop_by") == "never"):
        return
    for place, one in enumerate(content.get("lookups", ())):
        if one.get("expect", "released") not in ("released", "asked"):
            yield (
                ("lookups", place, "expect"),
                "what the file's own expect allows: it says that nobody is stopped",
            )


def _known(content: Specs, words: Words) -> Iterator[Fault]:
    """Words of the policies, in everything but the lookups and the ties."""
    for written, spec in content["staff"].items():
        if unknown := {*spec.get("roles", ())} - {*words.purposes.roles}:
            yield ("staff", written, "roles"), f"roles of purposes.yaml; not {', '.join(sorted(unknown))}"
    references: Specs = content.get("references", {})
    for ref, spec in references.items():
        kind = words.purposes.references.get(spec["kind"])
        if kind is None:
            yield ("references", ref, "kind"), f"one of {', '.join(words.purposes.references)}"
        elif not kind.matches(ref):
            yield ("references", ref), f"a {spec['kind']} as purposes.yaml writes it, such as {kind.example}"
    yield from _links(content, words, references)


def _links(content: Specs, words: Words, references: Specs) -> Iterator[Fault]:
    kinds = {*words.link_kinds, *OF_A_LINK, *content["records"], *words.purposes.references}
    for place, spec in enumerate(content.get("links", ())):
        if spec["relation"] not in words.link_relations:
            yield ("links", place, "relation"), "a relation that an explanation of facts.yaml follows"
        for end in ("source", "target"):
            kind_word, _, name = spec[end].partition(":")
            there = {*content["records"].get(kind_word, ()), *references}
            if kind_word not in kinds:
                yield ("links", place, end), "a kind that an explanation of facts.yaml names"
            elif kind_word in {*content["records"], *words.purposes.references} and name not in there:
                yield ("links", place, end), "a record or reference of this file"
