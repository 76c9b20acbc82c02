"""As much of CEL as a linter of policies needs: its tokens, and the dotted names it reads.

Not an evaluator: Cerbos compiles the expressions. Lexical rules: CEL language definition, "Syntax"
(github.com/google/cel-spec, doc/langdef.md).
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a token is."""

    NAME = "name"
    TEXT = "text"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `text` is the name, sign or number as written, or the value of a string."""

    kind: Kind
    text: str


_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<number>0x[0-9a-fA-F]+u?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?u?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)


def _value(literal: str) -> str:
    """The value of a string literal. CEL's escapes are Python's, near enough for words; the rest stays as written."""
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return literal
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def tokens(expression: str) -> tuple[Token, ...]:
    """The tokens of an expression. Raises `ValueError` where a character begins none."""
    found: list[Token] = []
    place = 0
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise ValueError(f"character {place + 1} begins nothing CEL knows")
        place = match.end()
        group = str(match.lastgroup)
        if group != "space":
            text = match.group()
            found.append(Token(Kind(group), _value(text) if group == "text" else text))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Path:
    """A name read by an expression: `R.attr.purpose` or `R["attr"]["purpose"]` as (`R`, `attr`, `purpose`).

    Tokens `start` up to `end` are its own. `called` where an argument list follows; `computed` where an index follows
    that is no literal, so that what is read cannot be seen.
    """

    parts: tuple[str, ...]
    start: int
    end: int
    called: bool
    computed: bool


def _text(stream: Sequence[Token], place: int) -> str:
    return stream[place].text if 0 <= place < len(stream) and stream[place].kind is Kind.SIGN else ""


def _member(stream: Sequence[Token], place: int) -> bool:
    return _text(stream, place) == "." and place + 1 < len(stream) and stream[place + 1].kind is Kind.NAME


def _index(stream: Sequence[Token], place: int) -> bool:
    literal = place + 1 < len(stream) and stream[place + 1].kind is Kind.TEXT
    return _text(stream, place) == "[" and literal and _text(stream, place + 2) == "]"


def paths(stream: Sequence[Token]) -> Iterator[Path]:
    """Every name an expression reads, with the members that follow it. Keys of maps and members alone are none."""
    place = 0
    while place < len(stream):
        start = place
        place += 1
        if stream[start].kind is not Kind.NAME or _text(stream, start - 1) == ".":
            continue
        parts = [stream[start].text]
        while True:
            if _member(stream, place):
                parts.append(stream[place + 1].text)
                place += 2
            elif _index(stream, place):
                parts.append(stream[place + 1].text)
                place += 3
            else:
                break
        after = _text(stream, place)
        yield Path(tuple(parts), start, place, called=after == "(", computed=after == "[")


def maps(stream: Sequence[Token]) -> Iterator[dict[str, tuple[Token, ...]]]:
    """Every map literal that an expression can give as its value: each key with the tokens of its value.

    Literals inside another literal or an argument list are parts of it, not values of their own. A key that is no string
    stands under `` (empty).
    """
    inside: list[bool] = []  # of each open bracket: whether what it holds is a part, not the value itself
    for place, token in enumerate(stream):
        sign = token.text if token.kind is Kind.SIGN else ""
        if sign == "{" and not any(inside):
            yield _map(stream, place + 1)
        if sign in {"{", "[", "("}:
            grouping = sign == "(" and (place == 0 or stream[place - 1].kind is not Kind.NAME)
            inside.append(not grouping)
        elif sign in {"}", "]", ")"} and inside:
            inside.pop()


def _map(stream: Sequence[Token], place: int) -> dict[str, tuple[Token, ...]]:
    found: dict[str, tuple[Token, ...]] = {}
    depth, questions, key, begun = 0, 0, "", place
    in_value = False
    for at in range(place, len(stream)):
        sign = _text(stream, at)
        if depth == 0 and sign in {",", "}"}:
            if in_value:
                found[key] = tuple(stream[begun:at])
            if sign == "}":
                break
            begun, in_value, questions = at + 1, False, 0
        elif depth == 0 and sign == "?":
            questions += 1
        elif depth == 0 and sign == ":" and questions:
            questions -= 1
        elif depth == 0 and sign == ":" and not in_value:
            only = at - begun == 1 and stream[begun].kind is Kind.TEXT
            key, begun, in_value = (stream[begun].text if only else ""), at + 1, True
        depth += (sign in {"{", "[", "("}) - (sign in {"}", "]", ")"})
    return found
