"""Who is let in by a card, and which lists are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core.cards import Asking, BadList, Place, Printed, Why, judge, read_list, shown

A = "6408042001143"
KEY, OTHER = "aa", "bb"
NEW = Printed(A, 100.0, False, "")
USED = Printed(A, 100.0, False, KEY)


@pytest.mark.parametrize(
    ("card", "asking", "held", "now", "why"),
    [
        (NEW, Asking(A, KEY), False, 99.0, None),
        (NEW, Asking("", KEY), False, 99.0, None),
        (None, Asking(A, KEY), False, 0.0, Why.UNKNOWN),
        (NEW, Asking("6408042001144", KEY), False, 0.0, Why.OTHER_STATION),
        (NEW, Asking(A, KEY), False, 101.0, Why.EXPIRED),
        (NEW, Asking(A, KEY), True, 0.0, Why.HELD),
        (Printed(A, 100.0, True, ""), Asking(A, KEY), False, 0.0, Why.WITHDRAWN),
        (USED, Asking(A, OTHER), False, 0.0, Why.USED),
        (USED, Asking(A, OTHER), True, 0.0, Why.USED),
        (USED, Asking(A, KEY), False, 0.0, None),
        (USED, Asking(A, KEY), False, 101.0, None),
        (USED, Asking(A, KEY), True, 0.0, Why.HELD),
        (Printed(A, 100.0, True, KEY), Asking(A, KEY), False, 0.0, Why.WITHDRAWN),
    ],
)
def test_a_card_lets_in_once(card: Printed | None, asking: Asking, held: bool, now: float, why: Why | None) -> None:
    assert judge(card, asking, held, now) is why


def test_every_refusal_has_its_words_in_both_languages() -> None:
    for why in Why:
        assert why.id.strip() == why.id != why.en.strip() != ""


def test_columns_come_in_any_order_and_others_are_left_alone() -> None:
    lines = ["Name,pemilih,STATION,village", f'"TPS 143, SDN",250,{A},Sangatta  Utara', ",,,", ""]
    assert read_list(lines) == [Place(A, "TPS 143, SDN", "Sangatta Utara")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: the column 'station' is missing"),
        ("station;name\n1;2", "separated by semicolons"),
        ("station,name,name\n", "'name' is there twice"),
        ("station,name\n", "there is no station in it"),
        (f"station,name\n{A[:-1]},x", "line 2: station = '640804200114': must be 13 digits"),
        (f"station,name\n{A},{'x' * 65}", "line 2: name has 65 letters"),
        (f"station,name\n{A},a\x07b", "line 2: name = 'a\\x07b': holds what cannot be printed"),
        (f'station,name\n{A},"open', "not CSV"),
    ],
)
def test_a_bad_list_is_refused_by_line_and_reason(text: str, why: str) -> None:
    with pytest.raises(BadList) as refused:
        read_list(text.splitlines())
    assert why in str(refused.value)


def test_of_many_mistakes_the_first_are_told() -> None:
    with pytest.raises(BadList) as refused:
        read_list(["station,name", *["1,x"] * 100])
    assert str(refused.value).splitlines()[-1] == "and 80 more"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_no_text_is_more_than_a_list_or_a_refusal(lines: list[str]) -> None:
    try:
        assert all(isinstance(place, Place) for place in read_list(["station,name", *lines]))
    except BadList as why:
        assert str(why)


def test_a_station_is_shown_as_people_say_it() -> None:
    assert shown(A) == "64.08.04.2001 · TPS 143"
