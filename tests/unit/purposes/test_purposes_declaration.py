"""The declaration's wire form: strictly one item, everything else refused with what to mend and nothing of what was sent."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import DeclarationRefused, SettingsError
from purposegate.model import Declaration
from purposegate.purposes import declaration as wire
from purposegate.reasons import Reason

FIELD = "Access-Purpose"
SECRET = "zqvxj"
"""Stands in values that must not come back in a refusal."""


def refused(*values: bytes) -> DeclarationRefused:
    with pytest.raises(DeclarationRefused) as caught:
        wire.read(values, field=FIELD)
    return caught.value


def test_a_whole_declaration_is_read() -> None:
    """Every parameter arrives in its own place, the reason verbatim."""
    sent = (
        b'investigate.crime;ref="CR/1042/26";reason=%"Interview of Siobh%c3%a1n \\\\ 50%25 %22sure%22"'
        b';originator="PC1234";recipient="Camden MARAC";break-glass'
    )

    assert Declaration(
        purpose="investigate.crime",
        ref="CR/1042/26",
        reason='Interview of Siobhán \\\\ 50% "sure"',
        originator="PC1234",
        recipient="Camden MARAC",
        break_glass=True,
    ) == wire.read([sent], field=FIELD)


def test_a_reason_may_be_a_plain_string() -> None:
    """A client that has only ASCII to say need not use a Display String."""
    assert "Witness statement" == wire.read([b'a.b;reason="Witness statement"'], field=FIELD).reason


@pytest.mark.parametrize(("flag", "expected"), [(b"", True), (b"=?1", True), (b"=?0", False)])
def test_break_glass_is_a_boolean(flag: bytes, expected: bool) -> None:
    """RFC 9651 writes true with or without its value, and false with it."""
    assert expected is wire.read([b"a.b;break-glass" + flag], field=FIELD).break_glass


def test_spaces_around_the_item_do_not_count() -> None:
    """RFC 9651 section 4.2 discards them; nothing else is discarded."""
    assert "a.b" == wire.read([b'  a.b; ref="x"  '], field=FIELD).purpose


def test_nothing_sent_is_a_missing_purpose() -> None:
    """No header is 428, with the header's name."""
    refusal = refused()

    assert (Reason.PURPOSE_MISSING, 428) == (refusal.reason, refusal.status)
    assert FIELD in refusal.detail


MALFORMED = {
    "sent twice": (b"a.b", b"a.b"),
    "empty": (b"",),
    "blank": (b"   ",),
    "two items in one line": (b"a.b, c.d",),
    "two items": (b"a.b c.d",),
    "an inner list": (b"(a.b)",),
    "a dictionary": (b"purpose=a.b",),
    "a string for a code": (b'"a.b"',),
    "a display string for a code": (b'%"a.b"',),
    "a number for a code": (b"42",),
    "a boolean for a code": (b"?1",),
    "a date for a code": (b"@1700000000",),
    "a date beyond dates": (b"@999999999999999",),
    "bytes for a code": (b":aGk=:",),
    "an unknown parameter": (b"a.b;zqvxj=1",),
    "a parameter in capitals": (b'a.b;Ref="x"',),
    "a repeated parameter": (b'a.b;ref="zqvxj";ref="y"',),
    "a repeated flag": (b"a.b;break-glass;break-glass=?0",),
    "ref without value": (b"a.b;ref",),
    "ref as token": (b"a.b;ref=zqvxj",),
    "ref as number": (b"a.b;ref=42",),
    "ref as display string": (b'a.b;ref=%"zqvxj"',),
    "originator as token": (b"a.b;originator=zqvxj",),
    "recipient as flag": (b"a.b;recipient",),
    "reason as token": (b"a.b;reason=zqvxj",),
    "reason as flag": (b"a.b;reason",),
    "break-glass as string": (b'a.b;break-glass="zqvxj"',),
    "break-glass as number": (b"a.b;break-glass=1",),
    "an open string": (b'a.b;ref="zqvxj',),
    "an open display string": (b'a.b;reason=%"zqvxj',),
    "single quotes": (b"a.b;ref='zqvxj'",),
    "a wrong escape": (b'a.b;ref="zqvxj\\n"',),
    "upper-case percent encoding": (b'a.b;reason=%"zqvxj%C3%A1"',),
    "half a percent encoding": (b'a.b;reason=%"zqvxj%c"',),
    "broken UTF-8": (b'a.b;reason=%"zqvxj%c3"',),
    "overlong UTF-8": (b'a.b;reason=%"zqvxj%c0%af"',),
    "a surrogate": (b'a.b;reason=%"zqvxj%ed%a0%80"',),
    "raw UTF-8": ('a.b;reason="zqvxjá"'.encode(),),
    "raw latin-1": (b'a.b;reason="zqvxj\xe1"',),
    "a raw tab": (b'a.b;reason="zqvxj\t"',),
    "a raw line break": (b'a.b;reason="zqvxj\r\nX: y"',),
    "a raw NUL": (b"a.b\x00",),
    "a space in the code": (b"a .b",),
    "too long a code": (b"a" * (wire.MAX_CODE_CHARS + 1),),
    "too long a ref": (b'a.b;ref="' + b"z" * (wire.MAX_REF_CHARS + 1) + b'"',),
    "too long an originator": (b'a.b;originator="' + b"z" * (wire.MAX_ORIGINATOR_CHARS + 1) + b'"',),
    "too long a recipient": (b'a.b;recipient="' + b"z" * (wire.MAX_RECIPIENT_CHARS + 1) + b'"',),
    "too long a reason": (b'a.b;reason="' + b"z" * (wire.MAX_REASON_CHARS + 1) + b'"',),
    "too long a field": (b"a.b;" + b" " * wire.MAX_FIELD_BYTES,),
}


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_one_plain_declaration_is_malformed(values: tuple[bytes, ...]) -> None:
    """Each departure from the form is 400, says something, and says nothing of what was sent."""
    refusal = refused(*values)

    assert (Reason.DECLARATION_MALFORMED, 400) == (refusal.reason, refusal.status)
    assert refusal.detail
    assert SECRET not in str(refusal)


UNSEEN = {
    "a line break": "\n",
    "a carriage return": "\r",
    "NUL": "\x00",
    "escape": "\x1b",
    "a C1 control": "\x85",
    "soft hyphen": "\xad",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "right-to-left override": "\u202e",
    "right-to-left isolate": "\u2067",
    "Arabic letter mark": "\u061c",
    "line separator": "\u2028",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "tag letter": "\U000e0061",
    "private use": "\ue000",
    "no character": "\ufffe",
    "Hangul filler": "\u3164",
    "braille blank": "\u2800",
    "grapheme joiner": "\u034f",
}


@pytest.mark.parametrize("char", UNSEEN.values(), ids=UNSEEN)
def test_a_character_that_cannot_be_seen_is_malformed(char: str) -> None:
    """A reviewer must see what was sent, in the order it was sent."""
    sent = f'a.b;reason=%"Witness{"".join(f"%{byte:02x}" for byte in char.encode())} statement"'

    assert "reason: type it without line breaks and invisible characters" == refused(sent.encode()).detail


def test_a_refusal_names_the_place() -> None:
    """What cannot be parsed is named by its position, counted from one."""
    assert "could not be read at character 10;" in refused(b'a.b;ref="\xff"').detail


@pytest.mark.parametrize("name", ["Access-Purpose", "X-Policing-Purpose", "doelbinding"])
def test_a_plain_field_name_will_do(name: str) -> None:
    """The header's name is a setting."""
    assert name == wire.check_field_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Purpose",
        "purpose",
        "X-PURPOSE",
        "Sec-Purpose",
        "sec-anything",
        "Proxy-Purpose",
        "Cookie",
        "Authorization",
        "Host",
    ],
)
def test_a_field_that_others_use_is_refused(name: str) -> None:
    """Browsers send some of these for prefetch, which would declare a purpose nobody declared."""
    with pytest.raises(SettingsError, match="such as Access-Purpose"):
        wire.check_field_name(name)


@pytest.mark.parametrize(
    "name", ["", "Access Purpose", "Access:Purpose", "Akte-ß", "A\n", "9", "-a", "a" * 65, "a_b"]
)
def test_a_field_that_is_no_header_name_is_refused(name: str) -> None:
    """Underscores too: servers drop or fold them."""
    with pytest.raises(SettingsError, match="letters, digits and `-`"):
        wire.check_field_name(name)


VISIBLE = st.characters(
    exclude_categories=("C", "Zl", "Zp"),
    exclude_characters="\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5",
)
ASCII = st.characters(min_codepoint=32, max_codepoint=126)
DECLARATIONS = st.builds(
    Declaration,
    purpose=st.from_regex(r"[a-z][a-z0-9_-]{0,20}(\.[a-z][a-z0-9_-]{0,20}){0,2}", fullmatch=True),
    ref=st.text(ASCII, max_size=wire.MAX_REF_CHARS),
    reason=st.text(VISIBLE, max_size=wire.MAX_REASON_CHARS),
    originator=st.text(ASCII, max_size=wire.MAX_ORIGINATOR_CHARS),
    recipient=st.text(ASCII, max_size=wire.MAX_RECIPIENT_CHARS),
    break_glass=st.booleans(),
)


@given(DECLARATIONS)
def test_what_is_written_is_read_back(declaration: Declaration) -> None:
    """Every declaration within its limits survives the wire unchanged, and fits the field."""
    sent = wire.value(declaration).encode("ascii")

    assert len(sent) <= wire.MAX_FIELD_BYTES
    assert declaration == wire.read([sent], field=FIELD)


def test_the_longest_declaration_fits_the_field() -> None:
    """Every limit at once, at its worst encoding, is still under the limit of the whole field."""
    longest = Declaration(
        purpose="p" * wire.MAX_CODE_CHARS,
        ref='"' * wire.MAX_REF_CHARS,
        reason="\U0001f600" * wire.MAX_REASON_CHARS,
        originator="\\" * wire.MAX_ORIGINATOR_CHARS,
        recipient='"' * wire.MAX_RECIPIENT_CHARS,
        break_glass=True,
    )

    assert longest == wire.read([wire.value(longest).encode()], field=FIELD)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_any_bytes_are_a_declaration_or_refused(values: list[bytes]) -> None:
    """No header raises anything but a refusal."""
    _read_or_refused(values)


PIECES = (
    *(
        b"investigate.crime",
        b"a",
        b'"CR/1042/26"',
        b'%"Witness %c3%a1"',
        b"?1",
        b"?0",
        b"42",
        b"-1.5",
        b":aGk=:",
        b"@5",
    ),
    *(
        b";",
        b"=",
        b" ",
        b",",
        b"(",
        b")",
        b'"',
        b"%",
        b"\\",
        b"@",
        b"?",
        b":",
        b"-",
        b"'",
        b"\t",
        b"\x00",
        b"\xff",
        b"%e2%80%ae",
    ),
    *(
        b"ref",
        b"reason",
        b"originator",
        b"recipient",
        b"break-glass",
        b"999999999999999",
        b"@-999999999999999",
        b"zqvxj",
    ),
)


@given(st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
def test_any_pieces_of_a_declaration_are_one_or_refused(sent: bytes) -> None:
    """The same for bytes that look like declarations, where the parser goes deep."""
    _read_or_refused([sent])


@given(DECLARATIONS, st.data())
def test_a_declaration_with_any_byte_changed_is_one_or_refused(
    declaration: Declaration, data: st.DataObject
) -> None:
    """The same for a good declaration that was damaged on the way."""
    sent = bytearray(wire.value(declaration).encode())
    sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))

    _read_or_refused([bytes(sent)])


def _outcome(values: list[bytes]) -> Declaration | DeclarationRefused:
    try:
        return wire.read(values, field=FIELD)
    except DeclarationRefused as refusal:
        return refusal


def _read_or_refused(values: list[bytes]) -> None:
    read = _outcome(values)
    if isinstance(read, DeclarationRefused):
        assert read.reason in {Reason.PURPOSE_MISSING, Reason.DECLARATION_MALFORMED}
        assert SECRET not in str(read)
        return
    shown = read.purpose + read.ref + read.reason + read.originator + read.recipient
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in shown)
    assert read.purpose
    assert len(read.ref) <= wire.MAX_REF_CHARS
    assert len(read.reason) <= wire.MAX_REASON_CHARS
