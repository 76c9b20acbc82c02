"""What policies can read: every attribute sent with a question, under the name policies know it by.

One list, from which questions are written, policies are linted and docs/policy-vocabulary.md is checked. Every attribute
is sent with every question: a missing one makes Cerbos' conditions err, and that is what strict evaluation is for.
"""

from purposegate.model import Action, Obligation

RESOURCE = "record"
"""The one Cerbos resource that every question is about. What sort of record it is stands in `R.attr.kind`, so that one rule
covers every kind a force maps, and a kind that nobody thought of is judged like the others."""

PRINCIPAL_WORDS = ("unit", "tenure", "vetting", "training")
PRINCIPAL_FLAGS = ("on_duty",)
PRINCIPAL_ATTRS = frozenset(PRINCIPAL_WORDS + PRINCIPAL_FLAGS)
"""`P.attr.*`."""

RECORD_WORDS = (
    "kind",
    "purpose",
    "ref_state",
    "involvement",
    "repeat",
    "breadth",
    "challenge",
    "originator",
    "recipient",
    "conflict",
    "conflict_whose",
    "conflict_tier",
    "conflict_provenance",
    "conflict_default",
)
RECORD_FLAGS = ("entitled", "break_glass")
RECORD_LISTS = ("purpose_family", "explained_by", "patterns")
RECORD_ATTRS = frozenset(RECORD_WORDS + RECORD_FLAGS + RECORD_LISTS)
"""`R.attr.*`. The names are those of `purposegate.model.Question`."""

ACTIONS = frozenset(Action)

OUTPUT_LISTS = frozenset({"obligations", "accepts", "mask"})
OUTPUT_TEXTS = frozenset({"reason", "notify"})
OUTPUT_KEYS = OUTPUT_LISTS | OUTPUT_TEXTS
"""What an output may say; `purposegate.judge` refuses anything else."""

OBLIGATIONS = frozenset(Obligation)

NO_ID = "-"
"""Stands for a record id that no policy reads: Cerbos takes no empty one."""

CANARY_KIND = "purposegate.canary"
SCHEMA_CANARY_KIND = "purposegate.schema_canary"
"""Resources of the policies that prove a Cerbos fit."""
