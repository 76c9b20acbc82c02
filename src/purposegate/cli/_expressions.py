"""Words in CEL expressions: which strings a policy compares with which attribute, and which lists it puts out.

A lexer, not a parser: Cerbos itself compiles the expressions. An expression is cut into *terms* at `&&`, `||`, `?`, `:` and
between the entries of a map; a string in a term that reads an attribute is taken to be compared with it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n]*)
    | (?P<string>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<path>[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)
    | (?P<mark>&&|\|\||[?:(){}\[\],])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)")
_OPEN, _CLOSE = "([{", ")]}"


class Token(NamedTuple):
    """One token: a string's content, a dotted path without spaces, or a mark. `depth` holds the brackets around it."""

    kind: str
    text: str
    depth: str


@dataclass(slots=True)
class Term:
    """Attributes read, strings written, variables and constants named, in one term. `listed` strings stand in a list."""

    attributes: set[str] = field(default_factory=set)
    strings: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)


def tokens(expression: str) -> list[Token]:
    """The strings, paths and marks of an expression; numbers and other operators say nothing here."""
    found: list[Token] = []
    depth = ""
    for match in _TOKEN.finditer(expression):
        kind, text = str(match.lastgroup), match.group()
        if kind == "comment":
            continue
        if kind == "mark" and text in _CLOSE:
            depth = depth[:-1]
        found.append(Token(kind, _plain(kind, text), depth))
        if kind == "mark" and text in _OPEN:
            depth += text
    return found


def _plain(kind: str, text: str) -> str:
    if kind == "path":
        return re.sub(r"\s", "", text)
    if kind != "string":
        return text
    raw = "r" in text[:2].lower()
    body = text.lstrip("rRbB")
    quotes = 3 if body[:3] in ('"""', "'''") else 1
    body = body[quotes:-quotes]
    return body if raw else _ESCAPE.sub(r"\1", body)


def terms(found: Sequence[Token]) -> Iterator[Term]:
    """Cut tokens into terms."""
    term = Term()
    for place, token in enumerate(found):
        if token.kind == "mark" and (
            token.text in ("&&", "||", "?", ":") or (token.text == "," and token.depth[-1:] in ("", "{"))
        ):
            yield term
            term = Term()
        elif token.kind == "path":
            _read_path(term, token.text, found[place + 1 : place + 3])
        elif token.kind == "string" and not _is_index(found, place):
            term.strings.append(token.text)
            if token.depth[-1:] == "[":
                term.listed.append(token.text)
    yield term


def _is_index(found: Sequence[Token], place: int) -> bool:
    """Whether a string is the `["purpose"]` of `R.attr["purpose"]`."""
    before = found[max(0, place - 2) : place]
    return len(before) == 2 and before[1].text == "[" and before[0].text.endswith("attr")  # noqa: PLR2004 (two tokens)


def _read_path(term: Term, path: str, after: Sequence[Token]) -> None:
    parts = path.split(".")
    if parts[0] in ("V", "variables") and len(parts) > 1:
        term.variables.add(parts[1])
    elif parts[0] in ("C", "constants") and len(parts) > 1:
        term.constants.add(parts[1])
    elif "attr" in parts:
        rest = parts[parts.index("attr") + 1 :]
        if rest:
            term.attributes.add(rest[0])
        elif [token.kind for token in after] == ["mark", "string"] and after[0].text == "[":
            term.attributes.add(after[1].text)
    elif parts[-1] == "roles" or "roles" in parts[1:]:
        term.attributes.add("roles")


def outputs(expression: str) -> Mapping[str, list[Token]]:
    """The entries of an output's map: key to the tokens of its values, in every branch of the expression."""
    entries: dict[str, list[Token]] = {}
    key = ""
    found = tokens(expression)
    for token, following in pairwise((*found, Token("mark", "", ""))):
        in_map = token.depth.endswith("{")
        if in_map and token.kind == "string" and following.text == ":":
            key = token.text
            entries.setdefault(key, [])
        elif key and token.depth and not (in_map and token.text == ","):
            entries[key].append(token)
    return entries
