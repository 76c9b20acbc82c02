from purposegate.enforcement.refusal import problem_text, refused
from purposegate.reasons import WORDINGS, Family, Reason


def test_every_reason_has_a_wording() -> None:
    """A reason without status or text cannot be added by accident."""
    assert set(Reason) == set(WORDINGS)


def test_all_policy_reasons_read_alike() -> None:
    """Law 7: conflict, assignment, policy and approval share one status and one text for the principal."""
    policy = {(w.status, w.principal) for w in WORDINGS.values() if w.family is Family.POLICY}

    assert 1 == len(policy)


def test_all_outages_read_alike_for_the_principal() -> None:
    """An outage says that it is one, and not which part failed."""
    assert 1 == len({w.principal for w in WORDINGS.values() if w.family is Family.OUTAGE})


def test_every_problem_page_says_what_to_do_next() -> None:
    """Each problem type that can be sent has a page behind it."""
    names = {"refused", "outage", "not-found"} | {
        r.value for r in Reason if r.wording.family not in (Family.POLICY, Family.OUTAGE)
    }

    assert all(problem_text(name) for name in names)


def test_a_problem_page_tells_no_policy_reason_apart() -> None:
    """Asking for the page of a hidden reason tells as little as asking for an unknown one."""
    assert [None, None] == [problem_text("conflict"), problem_text("no-such-thing")]


def test_the_refusal_depends_on_nothing_but_its_links_and_id() -> None:
    """The one refusal has no argument through which a record's reason could show."""
    assert refused(lookup_id="x", links=[]) == refused(lookup_id="x", links=[])
