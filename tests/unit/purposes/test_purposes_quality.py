"""The quality of reasons: general rules, tried on reasons that people really write and on those that say nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.purposes.catalogue import load
from purposegate.purposes.quality import Fault, fault

POLICIES = Path(__file__).parents[3] / "policies"
HOLLOW = load(POLICIES / "purposes.yaml").purposes["investigate.crime"].hollow
LABEL = "Allocated investigation"

LAWFUL = (
    "Witness statement for burglary CR/1042/26",
    "Locate missing teenager last seen at bus station",
    "RTC fatal, identify NOK",
    "DV victim callback before bail decision",
    "Stop search, suspected drugs, Broad Street",
    "Identify suspect from CCTV at Tesco",
    "Custody risk assessment detained male",
    "Driver details, collision M6 J10",
    "Trace keeper of abandoned Corsa",
    "Confirm bail address, CR/1042/26",
    "MG11 from shop manager, shoplifting",
    "FIREARMS RENEWAL APPLICANT CHECKS",
    "Duplicate nominal merge",
    "Armed man at address, threat to life",
    "Welfare visit elderly lady",
    "Statement from Siobhán O'Neill, robbery",
    "Statement from Siobhán O\u2019Neill, robbery",
    "Knife crime, injured party Nguyễn Văn Hùng",
    "Knightsbridge robbery witness",
    "Suspect Krzysztof Brzęczyszczykiewicz, interview",
    "Datganiad tyst am fyrgleriaeth yng Nghwmtwrch",
    "Vermisster Jugendlicher am Busbahnhof gesucht",
    "Strč prst skrz krk, svědek krádeže",
    "Reza Wert, knife wound",
    "LGBTQ hate crime assault",
    "Statement from Nqobile Mkhize, robbery scene",
    "Dallas Khalsa flat search warrant prep",
    "Заявление свидетеля о краже",  # noqa: RUF001 (Cyrillic is meant)
    "Κατάθεση μάρτυρα για διάρρηξη",  # noqa: RUF001 (Greek is meant)
    "البحث عن مراهق مفقود",
    "גביית עדות בפריצה לדירה",
    "गवाह का बयान चोरी",
    "寻找失踪少年最后出现在车站",
    "行方不明の少年を捜索中",
    "실종 청소년 수색 버스 정류장",
    "ค้นหาวัยรุ่นที่หายไป",
)

EMPTY_HANDED = (
    ("inv", Fault.HOLLOW),
    ("checks", Fault.HOLLOW),
    ("police business", Fault.HOLLOW),
    ("routine police enquiry", Fault.HOLLOW),
    ("general enquiries for work purposes", Fault.HOLLOW),
    ("see log", Fault.HOLLOW),
    ("\uff49\uff4e\uff56", Fault.HOLLOW),
    ("n/a", Fault.FEW_WORDS),
    ("Mickey Mouse", Fault.FEW_WORDS),
    ("Donald Duck", Fault.FEW_WORDS),
    ("burglary", Fault.FEW_WORDS),
    ("because I was asked to check", Fault.FEW_WORDS),
    ("I need this information for my job", Fault.FEW_WORDS),
    ("x", Fault.FEW_WORDS),
    ("x x x x x x", Fault.FEW_WORDS),
    ("aaa bbb ccc ddd", Fault.FEW_WORDS),
    ("asdf asdf asdf", Fault.MASH),
    ("asdfghjkl", Fault.MASH),
    ("qwerty uiop", Fault.MASH),
    ("lkjhg fdsa poiuy", Fault.MASH),
    ("qwertz yxcvb asdfg", Fault.MASH),
    ("azerty qsdfg wxcvb", Fault.MASH),
    ("фывапролд йцукен ячсмить", Fault.MASH),
    ("sdfkjh sdkfjh skdjfh", Fault.MASH),
    ("bcdfg hjklm npqrs", Fault.MASH),
    ("kff sfgffgdd agdahdj gahkh", Fault.MASH),
    ("aaaaaaaaaa", Fault.MASH),
    ("hahaha hahaha hahaha", Fault.MASH),
    ("asdasdasd qweqweqwe", Fault.MASH),
    ("r\u043eutine p\u043elice busin\u0435ss", Fault.FEW_WORDS),
    ("burglary burglary burglary", Fault.REPEATED),
    ("Burglary, BURGLARY, burglary!", Fault.REPEATED),
    ("lol lol lol lol lol", Fault.REPEATED),
    ("CR/1042/26", Fault.ONLY_REFERENCE),
    ("CR/1042/26 CR/1043/26", Fault.ONLY_REFERENCE),
    ("OP/HAWTHORN/26 OP/OAK/26 OP/ELM/26", Fault.ONLY_REFERENCE),
    ("1234567 890 12", Fault.ONLY_REFERENCE),
    ("Allocated investigation", Fault.ONLY_LABEL),
    ("investigation: ALLOCATED", Fault.ONLY_LABEL),
    ("", Fault.EMPTY),
    ("   ", Fault.EMPTY),
    ("...", Fault.EMPTY),
    ("- / -", Fault.EMPTY),
    ("\U0001f600\U0001f600\U0001f600", Fault.EMPTY),
)


@pytest.mark.parametrize("text", LAWFUL)
def test_a_terse_lawful_reason_will_do(text: str) -> None:
    """A reason that names what happened is enough, however short, in whatever script, with whoever's name."""
    assert None is fault(text, words=3, hollow=HOLLOW, label=LABEL)


@pytest.mark.parametrize(("text", "expected"), EMPTY_HANDED)
def test_a_reason_that_says_nothing_is_named_for_what_it_is(text: str, expected: Fault) -> None:
    """Each way of saying nothing falls to a rule about all such texts."""
    assert expected is fault(text, words=3, hollow=HOLLOW, label=LABEL)


def test_no_bad_reason_is_known_by_name() -> None:
    """The famous one falls to the count of telling words, so its like falls too: no word of it is on a list."""
    assert HOLLOW.isdisjoint({"mickey", "mouse", "donald", "duck"})
    assert None is fault("Mickey Mouse seen robbing bank", words=3, hollow=HOLLOW, label=LABEL)


def test_more_words_can_be_demanded() -> None:
    """A full reason is the same rule with a higher count."""
    text = "Witness statement for burglary"

    assert (None, Fault.FEW_WORDS) == (
        fault(text, words=3, hollow=HOLLOW),
        fault(text, words=6, hollow=HOLLOW),
    )


def test_every_fault_has_one_sentence() -> None:
    """Each fault tells people what to write instead, in one sentence."""
    sentences = [each.sentence for each in Fault]

    assert len(Fault) == len(set(sentences))
    assert all(sentence.endswith(".") and sentence.count(". ") == 0 for sentence in sentences)


@given(st.text(), st.integers(min_value=1, max_value=40), st.text(max_size=40))
def test_any_text_is_judged(text: str, words: int, label: str) -> None:
    """Whatever is sent, judging a reason gives a fault or None, and never raises."""
    assert fault(text, words=words, hollow=HOLLOW, label=label) in {None, *Fault}


@given(st.text(alphabet="asdfghjklqwertyuiopzxcvbnm AEIOU'/-0123456789\u0301\u200d", max_size=300))
def test_any_typing_is_judged(text: str) -> None:
    """The same for what fingers on a keyboard make, where the rules about mash are at work."""
    assert fault(text, words=3, hollow=HOLLOW) in {None, *Fault}


@given(st.text(max_size=60), st.integers(min_value=1, max_value=39))
def test_demanding_more_words_accepts_nothing_more(text: str, words: int) -> None:
    """A reason that fails a low bar fails every higher one."""
    if fault(text, words=words, hollow=HOLLOW) is not None:
        assert fault(text, words=words + 1, hollow=HOLLOW) is not None


@given(st.text(max_size=80))
def test_repeating_a_reason_adds_nothing(text: str) -> None:
    """A text that is no reason is none when said three times."""
    if fault(text, words=3, hollow=HOLLOW) is not None:
        assert fault(" ".join([text] * 3), words=3, hollow=HOLLOW) is not None


@given(st.sampled_from(LAWFUL), st.sampled_from(LAWFUL))
def test_saying_more_never_hinders(text: str, more: str) -> None:
    """Two good reasons after each other are a good reason."""
    assert None is fault(f"{text}; {more}", words=3, hollow=HOLLOW, label=LABEL)


@given(
    st.sampled_from([text for text, _ in EMPTY_HANDED]),
    st.sampled_from(["!", "?", " ...", "\t", " -- ", "\u00a0"]),
)
def test_punctuation_does_not_make_a_reason(text: str, marks: str) -> None:
    """Marks and spaces around nothing are still nothing."""
    assert fault(marks + text + marks, words=3, hollow=HOLLOW, label=LABEL) is not None
