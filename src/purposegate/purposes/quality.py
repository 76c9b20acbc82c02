"""Whether a reason says anything: counted words, not a list of bad reasons.

No list can name every empty reason ("Mickey Mouse" was accepted at one force), so the rule is the other way
round: a reason must hold enough *telling* words. A word tells when it is a word at all (not keyboard mash, not one
letter over and over), is not among the catalogue's hollow words (grammar, and words that fit any lookup), and was
not counted already. That a telling reason is true is not judged here; it is kept verbatim, and facts corroborate it.

Scripts differ: Latin, Greek and Cyrillic words need three letters, words of other spaced scripts two, and in
scripts written without spaces two letters stand for a word. The vowel rules apply to Latin letters only.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import lru_cache

KEYBOARD_ROWS = (
    *("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiop", "yxcvbnm"),
    *("qsdfghjklm", "wxcvbn"),
    *("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
)
"""Rows of keys as fingers walk them: QWERTY, QWERTZ, AZERTY (less its top row, along which Reza lies), Russian."""

_WALKS = KEYBOARD_ROWS + tuple(row[::-1] for row in KEYBOARD_ROWS)
_HOME_ROW = frozenset("asdfghjkl")
# `w` and `y` are vowels in Welsh, and half of them in English; `r` carries a syllable in Czech and Croatian.
_VOWELS = frozenset("aeiouywr\u00e6\u00f8\u0153\u0131")
_APOSTROPHES = frozenset("'\u2019\u02bc")

_SHORTEST_WALK = 3
"""Letters of the shortest word that can be a walk along the keys: "asd"."""

_LONG_WALK = 4
"""Letters in key order that fingers write. "Frazer" and "property" have as many, so their share of the word counts."""

_SPEAKABLE_CHARS = 5
"""Shorter words without a vowel are abbreviations here (RTC, NOK), and shorter walks may be names (Wert, Poi): those
still count as words, unless most of the reason is so."""

_LONG_CONSONANTS = 6
"""Consonants in a row that only compounds hold ("Knightsbridge"), where they are at most three fifths of the word."""

MIN_ENTROPY_BITS = 2.0
"""Shannon entropy of a reason's letters below which it repeats itself; English prose has about 4.1 bits a letter."""

MAX_HOME_ROW_SHARE = 0.9
"""Of a reason's letters. Four random words of 19 languages in Latin script: 0.71 at most, once in a thousand texts."""

_SAMPLE_CHARS = 12
"""Fewest letters that a share or entropy is judged on; below this a lawful word such as "theft" looks repetitive."""

_ALPHABETS = frozenset({"LATIN", "GREEK", "CYRILLIC"})
_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})


class Fault(StrEnum):
    """What is wrong with a reason; the sentence says what to write instead.

    The text alone shows all but the last two, which the force's facts show.
    """

    EMPTY = "empty"
    MASH = "mash"
    REPEATED = "repeated"
    ONLY_REFERENCE = "only-reference"
    ONLY_LABEL = "only-label"
    HOLLOW = "hollow"
    FEW_WORDS = "few-words"
    RECYCLED = "recycled"
    NO_SUCH_REFERENCE = "no-such-reference"

    @property
    def sentence(self) -> str:
        """What to write instead, in one sentence that never repeats the reason."""
        return _SENTENCES[self]


_WHY = "what you are doing and why you need this record."
_SENTENCES = {
    Fault.EMPTY: f"Write, in your own words, {_WHY}",
    Fault.MASH: f"Write words that a reviewer can read: {_WHY}",
    Fault.REPEATED: f"Say more than the same again: {_WHY}",
    Fault.ONLY_REFERENCE: f"Beside the reference, write {_WHY}",
    Fault.ONLY_LABEL: f"Beside the purpose's name, write {_WHY}",
    Fault.HOLLOW: "These words fit any lookup; name what happened and what you need this record for.",
    Fault.FEW_WORDS: f"Say a little more: what happened, {_WHY}",
    Fault.RECYCLED: "These words were given for many other records; write what is different about this one.",
    Fault.NO_SUCH_REFERENCE: "The force knows no such reference; check its number, or name the one that this is for.",
}


def fault(text: str, *, words: int, hollow: Collection[str] = (), label: str = "") -> Fault | None:
    """What is wrong with a reason that must hold `words` telling words, or None where it will do. Never raises.

    `hollow` words never count (lower case); `label` is the purpose's own name, which as a reason says nothing new.
    """
    found, telling, counted = _weighed(text, frozenset(hollow), label)
    if found is not None or telling >= words:
        return found
    return Fault.REPEATED if counted >= words else Fault.FEW_WORDS


@lru_cache(maxsize=1024)
def _weighed(text: str, hollow: frozenset[str], label: str) -> tuple[Fault | None, int, int]:
    """The first fault whatever length is asked for, and what the words weigh: each once, and each as often as it stands.

    Kept, since one reason is judged twice in a lookup, as a reason and as a justification, and comes with many lookups.
    """
    if not any(unicodedata.category(char)[0] in "LN" for char in text):
        return Fault.EMPTY, 0, 0
    runs = list(_words(text))
    said = [word for word in runs if not _has_digit(word)]
    if not said:
        return Fault.ONLY_REFERENCE, 0, 0
    mash = [word for word in said if _is_mash(word)]
    not_words = {word for word in mash if len(word) >= _SPEAKABLE_CHARS}
    counted = [word for word in said if word not in hollow and word not in not_words]
    telling, letters = set(counted), "".join(said)
    # In order: the first that holds is the sentence people read.
    signs = (
        (Fault.MASH, 2 * len("".join(mash)) >= len(letters) or _stays_on_home_row(letters)),
        (Fault.REPEATED, _is_monotonous(letters)),
        (Fault.ONLY_LABEL, bool(telling) and telling <= set(_words(label))),
        (Fault.HOLLOW, not telling),
    )
    found = next((sign for sign, holds in signs if holds), None)
    # M6 J10, a plate, a form's number: together they make a reason as exact as one more word would.
    exact = int(len(runs) > len(said))
    return found, exact + sum(map(_weight, telling)), exact + sum(map(_weight, counted))


def _words(text: str) -> Iterator[str]:
    """Runs of letters, case-folded; a run may have digits in it (M6), but plain numbers are none."""
    for chunk in unicodedata.normalize("NFKC", text).casefold().split():
        # CR/1042/26 and OP/HAWTHORN/26: a reference is no word, whatever letters are in it.
        if "/" in chunk and _has_digit(chunk):
            continue
        run: list[str] = []
        for char in chunk + " ":
            kind = unicodedata.category(char)
            if kind[0] in "LMN":
                run.append(char)
            elif kind != "Cf" and not (char in _APOSTROPHES and run):
                # Joiners and the apostrophe of O'Neill leave it one word; all else ends it.
                if any(unicodedata.category(part)[0] == "L" for part in run):
                    yield "".join(run)
                run = []


def _has_digit(text: str) -> bool:
    return any(unicodedata.category(char)[0] == "N" for char in text)


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return unicodedata.name(char, "?").split(" ")[0]


def _weight(word: str) -> int:
    """How many words a distinct run of letters counts for."""
    script = _script(word[0])
    # Letters of two alphabets in one word are there to look like others: no language writes so.
    if len(set(word)) == 1 or len(_ALPHABETS.intersection(map(_script, word))) > 1:
        return 0
    if script in _UNSPACED:
        return len(word) // 2
    return int(len(word) >= (3 if script in _ALPHABETS else 2))


@lru_cache(maxsize=4096)
def _is_mash(word: str) -> bool:
    """Whether fingers, not thought, wrote the word."""
    return _walks_keys(word) or _is_periodic(word) or _is_unspeakable(word)


def _walks_keys(word: str) -> bool:
    """More than four fifths of it, or all of three letters, go along a row of keys."""
    shortest = min(_LONG_WALK, max(_SHORTEST_WALK, len(word)))
    covered = at = 0
    while at < len(word):
        length = 1
        while at + length < len(word) and any(word[at : at + length + 1] in walk for walk in _WALKS):
            length += 1
        covered += length if length >= shortest else 0
        at += length
    return 5 * covered > 4 * len(word)


def _is_periodic(word: str) -> bool:
    """One to three letters over and over: aaaa, hahaha, asdasd."""
    for unit, rounds in ((1, 4), (2, 3), (3, 2 if _walks_keys(word[:_SHORTEST_WALK]) else 3)):
        if len(word) >= unit * rounds and word[unit:] == word[:-unit]:
            return True
    return False


def _is_unspeakable(word: str) -> bool:
    """Latin letters that no language puts in a row: no vowel at all, or nearly only consonants."""
    plain = [char for char in unicodedata.normalize("NFD", word) if unicodedata.category(char)[0] == "L"]
    if len(plain) < _SPEAKABLE_CHARS or _script(plain[0]) != "LATIN":
        return False
    longest = run = 0
    for char in plain:
        run = 0 if char in _VOWELS else run + 1
        longest = max(longest, run)
    if longest >= _LONG_CONSONANTS and 5 * longest > 3 * len(plain):
        return True
    return longest == len(plain) or (longest >= _LONG_WALK and _HOME_ROW.issuperset(plain))


def _stays_on_home_row(letters: str) -> bool:
    """Whether hands that rest on the keyboard wrote all of it."""
    at_home = sum(map(letters.count, _HOME_ROW))
    return len(letters) >= _SAMPLE_CHARS and at_home > MAX_HOME_ROW_SHARE * len(letters)


def _is_monotonous(letters: str) -> bool:
    total = len(letters)
    if total < _SAMPLE_CHARS:
        return False
    shares = (count / total for count in Counter(letters).values())
    return -sum(share * math.log2(share) for share in shares) < MIN_ENTROPY_BITS
