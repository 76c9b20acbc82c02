"""purposes.yaml, read: what its schema cannot say is checked here, and every fault is found in one go."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from purposegate import documents
from purposegate.documents import Document, Key
from purposegate.errors import Finding, PolicyError
from purposegate.purposes.declaration import MAX_CODE_CHARS
from purposegate.purposes.purpose import OPTIONAL, CataloguePurpose, ReferenceKind
from purposegate.purposes.quality import fault

DEFAULT_REASON_WORDS = 3
"""Telling words in a reason where `reason.words` is left out: two are a name or a shrug, three begin a sentence."""

DEFAULT_VALID_MINUTES = 60
"""How long a declaration made ahead is good where `valid_minutes` is left out."""
EVERY_FIELD = "all"

MAX_VARIABLE_PARTS = 4
"""Of a pattern: four bounded repeats on 64 characters cost at most some 800,000 steps, whatever is matched."""

_ESCAPED = re.compile(r"\\.")
_CLASS = re.compile(r"\[[^\]]*\]")
_VARIABLE = re.compile(r"\{[0-9]*,[0-9]*\}|\?")

Content = Mapping[str, Any]


def read(path: Path) -> Content:
    """The file's content, free of faults. Raises `PolicyError` with every fault found."""
    document = documents.read(path, "purposes")
    faults = [
        *_reference_faults(document),
        *(found for keys, node in _nodes(document.content) for found in _alias_faults(document, keys, node)),
        *(found for keys, node in _leaves(document.content) for found in _leaf_faults(document, keys, node)),
    ]
    if faults:
        raise PolicyError(sorted(faults, key=lambda finding: finding.line))
    content: Content = document.content
    return content


def references(content: Content) -> dict[str, ReferenceKind]:
    """The forms of reference, by kind."""
    return {
        str(name): ReferenceKind(
            kind=str(name),
            label=str(node["label"]),
            patterns=tuple(map(_pattern, node["patterns"])),
            example=str(node["example"]),
        )
        for name, node in content["references"].items()
    }


def parents(content: Content) -> dict[str, str]:
    """The codes that cannot be declared, with their labels."""
    return {_code(keys): str(node["label"]) for keys, node in _nodes(content) if "purposes" in node}


def purposes(content: Content, kinds: Mapping[str, ReferenceKind]) -> Iterator[CataloguePurpose]:
    """The purposes that can be declared, in the file's order."""
    hollow = frozenset(word.casefold() for word in content.get("hollow_words", ()))
    for keys, node in _leaves(content):
        parts = _code(keys).split(".")
        glass = node.get("break_glass", {})
        aliases = {str(name): tuple(map(str, terms)) for name, terms in node.get("aliases", {}).items()}
        yield CataloguePurpose(
            code=".".join(parts),
            family=tuple(".".join(parts[: depth + 1]) for depth in range(len(parts))),
            label=str(node["label"]),
            roles=frozenset(map(str, node["roles"])),
            reference_required=bool(node["reference"]["required"]),
            references=tuple(kinds[kind] for kind in node["reference"].get("kinds", ())),
            reason_required=bool(node["reason"]["required"]),
            reason_words=int(node["reason"].get("words", DEFAULT_REASON_WORDS)),
            justify_words=int(node.get("justify", {}).get("words", 0)),
            originator=str(node.get("originator", OPTIONAL)),
            recipient=str(node.get("recipient", OPTIONAL)),
            when_unavailable=str(node.get("when_unavailable", "closed")),
            break_glass_roles=frozenset(map(str, glass.get("roles", ()))),
            break_glass_needs_reference=glass.get("reference", "required") == "required",
            notice=str(node["notice"]).strip(),
            must_acknowledge=node.get("acknowledge") == "required",
            opens=MappingProxyType({str(kind): _opened(words) for kind, words in node["opens"].items()}),
            valid_s=int(node.get("valid_minutes", DEFAULT_VALID_MINUTES)) * 60,
            grace_s=int(node.get("grace_hours", 0)) * 3600,
            service_allowed=node.get("service") == "allowed",
            approvers=frozenset(map(str, node.get("approvers", ()))),
            aliases=MappingProxyType(aliases),
            hollow=hollow,
        )


def _opened(words: Any) -> frozenset[str] | None:
    return None if words == EVERY_FIELD else frozenset(map(str, words))


def _nodes(node: Content, keys: tuple[Key, ...] = ()) -> Iterator[tuple[tuple[Key, ...], Content]]:
    """Every purpose, parents before their children, with the keys that lead to it."""
    for name, child in node.get("purposes", {}).items():
        at = (*keys, "purposes", name)
        yield at, child
        yield from _nodes(child, at)


def _leaves(content: Content) -> Iterator[tuple[tuple[Key, ...], Content]]:
    return ((keys, node) for keys, node in _nodes(content) if "purposes" not in node)


def _code(keys: Sequence[Key]) -> str:
    return ".".join(map(str, keys[1::2]))


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern that cannot be made slow. Raises `ValueError` saying what is expected."""
    bare = _CLASS.sub("x", _ESCAPED.sub("x", text))
    if any(char in bare for char in "()*+|.^$"):
        raise ValueError(
            "a pattern without groups, `*`, `+`, `|`, `.`, `^` or `$`; alternatives are further patterns"
        )
    if len(_VARIABLE.findall(bare)) > MAX_VARIABLE_PARTS:
        raise ValueError(f"a pattern with at most {MAX_VARIABLE_PARTS} parts of variable length")
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError) as error:
        raise ValueError("a well-formed regular expression") from error


def _reference_faults(document: Document) -> Iterator[Finding]:
    forms: dict[str, list[re.Pattern[str]]] = {}
    written = document.content["references"]
    for name, node in written.items():
        forms[name] = []
        for place, text in enumerate(node["patterns"]):
            try:
                forms[name].append(_pattern(text))
            except ValueError as error:
                yield document.finding(("references", name, "patterns", place), str(error))
    for name, node in written.items():
        example, at = node["example"], ("references", name, "example")
        kinds = [
            kind for kind, patterns in forms.items() if any(form.fullmatch(example) for form in patterns)
        ]
        others = ", ".join(kind for kind in kinds if kind != name)
        # A pattern that does not compile has its own finding; that the example misses it is no second one.
        if name not in kinds and len(forms[name]) == len(node["patterns"]):
            yield document.finding(at, "an example that one of the patterns matches")
        if others:
            yield document.finding(at, f"forms that tell kinds apart; the example also matches {others}")


def _alias_faults(document: Document, keys: tuple[Key, ...], node: Content) -> Iterator[Finding]:
    if len(_code(keys)) > MAX_CODE_CHARS:
        yield document.finding(keys, f"a code of at most {MAX_CODE_CHARS} characters, dots counted")
    vocabularies = document.content.get("vocabularies", {})
    yield from _unknown(
        document, (*keys, "aliases"), node.get("aliases", {}), vocabularies, "a vocabulary of this file"
    )
    for name, terms in node.get("aliases", {}).items():
        if name in vocabularies:
            known = vocabularies[name]["terms"]
            yield from _unknown(
                document, (*keys, "aliases", name), terms, known, f"a term of the vocabulary {name}"
            )


def _leaf_faults(document: Document, keys: tuple[Key, ...], node: Content) -> Iterator[Finding]:
    content = document.content
    glass = node.get("break_glass", {})
    kinds = node["reference"].get("kinds", ())
    for at, named, known, what in (
        (("roles",), node["roles"], content["roles"], "a role of this file"),
        (("break_glass", "roles"), glass.get("roles", ()), node["roles"], "a role of this purpose"),
        (("approvers",), node.get("approvers", ()), content["roles"], "a role of this file"),
        (("reference", "kinds"), kinds, content["references"], "a kind of reference of this file"),
    ):
        yield from _unknown(document, (*keys, *at), named, known, what)
    words = node["reason"].get("words", DEFAULT_REASON_WORDS)
    least = f"at least the {words} words of an ordinary reason"
    for at, holds, expected in (
        (
            ("reference",),
            node["reference"]["required"] and not kinds,
            "`kinds`, because a reference is required",
        ),
        (
            ("when_unavailable",),
            node.get("when_unavailable") == "break-glass" and not glass,
            "`break_glass` with its roles, or `closed`",
        ),
        (
            ("grace_hours",),
            node.get("grace_hours", 0) and not node["reference"]["required"],
            "a required reference, whose assignment the grace is for; or leave it out",
        ),
        (("justify", "words"), "justify" in node and node["justify"]["words"] < words, least),
        (
            ("notice",),
            fault(node["notice"], words=DEFAULT_REASON_WORDS) is not None,
            "a sentence that tells people what the purpose is for",
        ),
    ):
        if holds:
            yield document.finding((*keys, *at), expected)


def _unknown(
    document: Document, keys: tuple[Key, ...], named: Any, known: Any, what: str
) -> Iterator[Finding]:
    """A finding for each name that is not known; `named` is a list, or a mapping whose keys are names."""
    for place, name in enumerate(named):
        if name not in known:
            at = (*keys, name if isinstance(named, Mapping) else place)
            yield document.finding(at, f"{what}: {', '.join(map(str, known)) or 'none'}")
