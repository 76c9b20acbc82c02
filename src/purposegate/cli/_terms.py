"""Which words a CEL expression compares with which attribute, and which words it lists.

An expression is cut into *terms* at `&&`, `||`, `?`, `:` and between the entries of a map; a word in a term that reads
an attribute is taken to be compared with it. Near enough to name typing slips: Cerbos itself evaluates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from purposegate.decision.cel import Kind, Path, Token, paths

_BETWEEN = frozenset({"&&", "||", "?", ":"})
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(slots=True)
class Term:
    """Attributes read, words written, variables and constants named, in one term. `listed` words stand in a list."""

    attributes: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)

    def read(self, path: Path) -> None:
        """Note what a dotted name reads."""
        match path.parts:
            case ("V" | "variables", name, *_):
                self.variables.add(name)
            case ("C" | "constants", name, *_):
                self.constants.add(name)
            case ("P" | "R", "attr", name, *_) | ("request", "principal" | "resource", "attr", name, *_):
                self.attributes.add(name)
            case ("P", "roles", *_) | ("request", "principal", "roles", *_):
                self.attributes.add("roles")
            case _:
                pass  # functions, and variables of comprehensions


def terms(stream: Sequence[Token]) -> Iterator[Term]:
    """Cut an expression's tokens into terms."""
    names = {path.start: path for path in paths(stream)}
    term, within, skip_to = Term(), "", 0
    for place, token in enumerate(stream):
        if place < skip_to:
            continue
        if place in names:
            term.read(names[place])
            skip_to = names[place].end
        elif token.kind is Kind.TEXT:
            term.words.append(token.text)
            if within.endswith("["):
                term.listed.append(token.text)
        elif token.text in _BETWEEN or (token.text == "," and within[-1:] in ("", "{")):
            yield term
            term = Term()
        elif token.text in _PAIRS:
            within = within[:-1]
        elif token.text in _PAIRS.values():
            within += token.text
    yield term
