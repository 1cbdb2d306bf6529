"""Codes as people type them, what a QR says, and messages from anybody."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.enrolment import (
    ALPHABET,
    CODE_LETTERS,
    LARGEST_BYTES,
    Admission,
    Application,
    Link,
    Renewal,
    decode,
    decode_answer,
    encode,
    grouped,
    hashed,
    read_code,
    read_fingerprint,
    read_link,
    read_url,
)
from wire.messages import BadMessage

CODE = "4F7K9Q2WZX8M3N5P6R70"
codes = st.text(ALPHABET, min_size=CODE_LETTERS, max_size=CODE_LETTERS)


@pytest.mark.parametrize(
    "typed",
    [
        "4F7K-9Q2W-ZX8M-3N5P-6R70",
        "4f7k 9q2w zx8m 3n5p 6r7o",
        " 4F7K9Q2WZX8M3N5P6R7O\n",
        "4F7K–9Q2W–ZX8M–3N5P–6R70",
        "4F7K.9Q2W.ZX8M.3N5P.6R70",
    ],
)
def test_a_code_is_read_however_it_was_typed(typed: str) -> None:
    assert read_code(typed) == CODE


@given(codes)
def test_what_is_printed_is_read_back(code: str) -> None:
    assert read_code(grouped(code)) == code
    assert read_code(grouped(code).lower().replace("0", "O").replace("1", "l")) == code


@pytest.mark.parametrize("typed", ["", "4F7K", CODE + "A", CODE[:-1] + "U", CODE[:-1] + "ß", "#" * 20])
def test_what_is_no_code_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(BadMessage) as refused:
        read_code(typed)
    assert len(typed) < 5 or typed not in str(refused.value)


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    with contextlib.suppress(BadMessage):
        assert set(read_code(text)) <= set(ALPHABET)


def test_what_the_centre_keeps_does_not_tell_the_code() -> None:
    assert CODE not in hashed(CODE)
    assert len(hashed(CODE)) == 64


def test_a_qr_is_read_back_and_its_secret_stands_behind_the_hash() -> None:
    link = Link("https://siaga.example:8443", CODE, "ab" * 32)
    assert read_link(f" {link}\n") == link
    assert CODE not in str(link).partition("#")[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://x/enrol",
        "https://x/enrol#2.A.B",
        f"http://x/enrol#1.{CODE}.{'ab' * 32}",
        f"https://x/other#1.{CODE}.{'ab' * 32}",
        f"https://u:p@x/enrol#1.{CODE}.{'ab' * 32}",
        f"https://x/enrol#1.{CODE}.{'ab' * 4}",
        f"https://x/enrol#1.{CODE[1:]}.{'ab' * 32}",
        f"https://x:0/enrol#1.{CODE}.{'ab' * 32}",
        f"https://[x/enrol#1.{CODE}.{'ab' * 32}",
    ],
)
def test_what_is_no_qr_of_ours_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        read_link(text)


@given(st.text(max_size=100))
def test_any_text_is_a_link_an_address_a_fingerprint_or_refused(text: str) -> None:
    for read in (read_link, read_url, read_fingerprint):
        with contextlib.suppress(BadMessage):
            read(text)


def test_a_fingerprint_may_be_its_beginning_as_on_a_card() -> None:
    assert read_fingerprint("A1B2 c3d4 E5F6 0718 293a") == "a1b2c3d4e5f60718293a"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for kind in (Application, Renewal, Admission):
        with pytest.raises(BadMessage):
            decode(data, kind)
    with pytest.raises(BadMessage):
        decode_answer(data)


@pytest.mark.parametrize("data", [b"x" * (LARGEST_BYTES + 1), b"[" * 30_000, b'{"type":"application"}', b"\xff"])
def test_what_is_too_large_deep_or_empty_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(data, Application)


def test_a_newer_field_is_read_over() -> None:
    asked = Application(CODE, "pem")
    assert decode(encode(asked)[:-1] + b',"colour":"red"}', Application) == asked
