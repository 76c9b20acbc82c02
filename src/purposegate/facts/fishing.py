"""Signs of fishing in one lookup: a search by parts of names, and a reason's words told apart from its numbers. Pure.

Which counts these signs are added up in, and from which count a pattern holds, is in `budgets` and facts.yaml.
"""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256

from purposegate.facts.bands import Patterns

PARTIAL_NAME = "partial-name"
MANY_OPENS = "many-opens"
PAGED_THROUGH = "paged-through"
MANY_DOORS = "many-doors"
SAME_REASON = "same-reason"
CROWD = "crowd"
SEARCHED_TIE = "searched-tie"

FREE_TEXT = "*"
WILDCARDS = frozenset("*%?")
SHORTEST_WORD = 3
"""Letters of a word that can be a whole name; "Alex B." has one such word."""
WHOLE_NAME = 2
"""Words in free text that can be somebody's name."""


def is_partial(criteria: Mapping[str, str], patterns: Patterns) -> bool:
    """Whether a search compares nothing as a whole: only parts of values, wildcards, or less than a name as free text.

    One whole value beside them, such as a date of birth, makes it a search for somebody.
    """
    texts = [(name, text) for name, joined in criteria.items() for text in joined.split("; ")]
    asked = [(name, text.strip()) for name, text in texts if text.strip() not in patterns.not_criteria]
    return bool(asked) and not any(_is_whole(name, text, patterns) for name, text in asked)


def _is_whole(name: str, text: str, patterns: Patterns) -> bool:
    operator = text.partition(" ")[0]
    if not WILDCARDS.isdisjoint(text) or operator in patterns.partial_operators:
        return False
    words = ["".join(filter(str.isalnum, word)) for word in text.split()]
    telling = [word for word in words if len(word) >= SHORTEST_WORD or any(map(str.isdigit, word))]
    return len(telling) >= (WHOLE_NAME if name == FREE_TEXT else 1)


@lru_cache(maxsize=256)
def reason_key(reason: str) -> str:
    """What a reason's words are counted under: 128 bits of SHA-256, hex; empty where it has no words.

    Case, punctuation and whatever holds a digit are left out: the same sentence with another case number is the same sentence.
    Kept for a moment, since each row of a lookup asks again.
    """
    chunks = unicodedata.normalize("NFKC", reason).casefold().split()
    bare = ("".join(filter(_is_letter, chunk)) for chunk in chunks if not any(map(str.isdigit, chunk)))
    said = " ".join(filter(None, bare))
    return sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32] if said else ""


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"
