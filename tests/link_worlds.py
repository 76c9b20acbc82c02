"""Small worlds of links: spelled shortly, put into a store, and searched naively."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from force_files import NOW
from purposegate.conflicts.dates import BEGINNING, FOREVER, Interval
from purposegate.facts.explanations import Explanations, Hop, Template
from purposegate.facts.links import Link, LinkStore, node, seconds
from purposegate.facts.links_reading import LinkFeed
from purposegate.facts.links_search import Explained, Walk
from purposegate.facts.links_sqlite import SqliteLinks, write_generation


def day(offset: float | None, otherwise: datetime) -> datetime:
    """So many days from now."""
    return otherwise if offset is None else NOW + timedelta(days=offset)


def link(text: str, start: float | None = None, end: float | None = None) -> Link:
    """`staff:E1 -assigned-> case:CR/1/26`, from and to in days from now."""
    source, arrow, target = text.split()
    ends = [node(*name.split(":", 1)) for name in (source, target)]
    held = Interval(day(start, BEGINNING), day(end, FOREVER))
    return Link(ends[0], arrow.removeprefix("-").removesuffix("->"), ends[1], held)


def reopening(explanations: Explanations, days: int) -> Explanations:
    """The same, with assignments reopened for so many days."""
    return Explanations(explanations.templates, assigned=explanations.assigned, reopened_for=days * 86_400)


def store(links: Iterable[Link], *, as_of: datetime = NOW) -> SqliteLinks:
    """These links in memory."""
    return SqliteLinks.held(links, as_of=as_of)


def generation(path: Path, links: Iterable[Link], *, as_of: datetime = NOW) -> Path:
    """These links in a file."""
    write_generation(path, LinkFeed(links, as_of))
    return path


def template(name: str, path: str, **more: object) -> Template:
    """A template by its path; `within` in days is every arrow's."""
    words = path.split()
    within = int(float(str(more.pop("within", 0))) * 86_400)
    hops = []
    for arrow, kind in zip(words[1::2], words[2::2], strict=True):
        signed = f">{arrow[1:-2]}" if arrow.endswith(">") else f"<{arrow[2:-1]}"
        hops.append(Hop(signed, "" if kind == "record" else kind.removeprefix("record:"), within))
    return Template(name=name, hops=tuple(hops), **more)  # type: ignore[arg-type] # flags only


async def explain(
    stores: Sequence[LinkStore] | Iterable[Link],
    explanations: Explanations,
    *records: str,
    principal: str = "E1",
    ref: str = "",
    grace: int = 0,
    references: dict[str, Interval] | None = None,
    days: float = 0,
) -> tuple[Explained, ...]:
    """What explains these nodes now, or so many days from now."""
    given = list(stores)
    found = [one for one in given if isinstance(one, Link)]
    searched: Sequence[LinkStore] = [store(found)] if found or not given else given  # type: ignore[assignment]
    walk = Walk(searched, explanations, principal, NOW + timedelta(days=days), references=references or {})
    return await walk.explain([node(*one.split(":", 1)) for one in records], ref=ref, grace=grace)


def naive(
    links: Sequence[Link], explanations: Explanations, record: str, *, principal: str = "E1", ref: str = ""
) -> Explained:
    """The same, from the words of the rule: every sequence of links is tried, forwards from the principal."""
    at = seconds(NOW)
    start, end, declared = node("staff", principal), node(*record.split(":", 1)), ref.casefold()
    current, ended = [], False
    for one in explanations.templates:
        spans = list(_spans(links, one, start, end, declared, 0, -(2**62), 2**62, False))
        if any(lo <= at < hi for lo, hi in spans):
            current.append(one.name)
        elif one.is_remembered and any(lo < hi <= at for lo, hi in spans):
            ended = True
    return Explained(tuple(current), "current" if current else "ended" if ended else "none")


def _spans(
    links: Sequence[Link],
    one: Template,
    here: str,
    end: str,
    ref: str,
    step: int,
    lo: int,
    hi: int,
    seen: bool,
) -> Iterator[tuple[int, int]]:
    if lo >= hi:
        return
    if step == len(one.hops):
        if here == end and (seen or not one.only_declared):
            yield lo, hi
        return
    hop = one.hops[step]
    for link_ in links:
        source, target = (
            (link_.source, link_.target) if hop.relation[0] == ">" else (link_.target, link_.source)
        )
        if source == here and link_.relation == hop.relation[1:] and hop.leads_to(target):
            first, last = seconds(link_.held.start), seconds(link_.held.end) + hop.within
            named = bool(ref) and target.partition(":")[2] == ref
            yield from _spans(
                links, one, target, end, ref, step + 1, max(lo, first), min(hi, last), seen or named
            )
