"""Topic names: built and read back, and what is none of ours refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import BadMessage
from wire.topics import Address, Down, Up, from_every_station, is_station, parse

STATION = "6408042001143"
stations = st.text("0123456789", min_size=13, max_size=13)
kinds = st.sampled_from([*Up, *Down])


def test_the_topics_are_these() -> None:
    assert Address(STATION, Up.STATE).topic == "siaga/1/6408/6408042001143/up/state"
    assert Address(STATION, Up.SUM).topic == "siaga/1/6408/6408042001143/up/sum"
    assert Address(STATION, Up.FACT).topic == "siaga/1/6408/6408042001143/up/fact"
    assert Address(STATION, Up.LOG).topic == "siaga/1/6408/6408042001143/up/log"
    assert Address(STATION, Down.STORED).topic == "siaga/1/6408/6408042001143/dn/stored"
    assert Address(STATION, Up.RESULT).topic == "siaga/1/6408/6408042001143/up/result"
    assert Address(STATION, Down.COMMAND).topic == "siaga/1/6408/6408042001143/dn/command"
    assert Address(STATION, Down.CONFIG).topic == "siaga/1/6408/6408042001143/dn/config"
    assert from_every_station() == "siaga/1/+/+/up/#"
    assert from_every_station("state") == "siaga/1/+/+/up/state"


@given(station=stations, kind=kinds)
def test_a_topic_that_was_built_is_read_back(station: str, kind: Up | Down) -> None:
    assert parse(Address(station, kind).topic) == Address(station, kind)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "siaga",
        "siaga/1/6408/6408042001143/up",
        "siaga/1/6408/6408042001143/up/state/more",
        "/siaga/1/6408/6408042001143/up/state",
        "siaga/2/6408/6408042001143/up/state",
        "other/1/6408/6408042001143/up/state",
        "siaga/1/6409/6408042001143/up/state",
        "siaga/1/640/6408042001143/up/state",
        "siaga/1//6408042001143/up/state",
        "siaga/1/6408/640804200114/up/state",
        "siaga/1/6408/64080420011430/up/state",
        "siaga/1/6408/640804200114x/up/state",
        "siaga/1/6408/640804200114٣/up/state",
        "siaga/1/6408/6408042001143/sideways/state",
        "siaga/1/6408/6408042001143/up/stored",
        "siaga/1/6408/6408042001143/dn/state",
        "siaga/1/6408/6408042001143/up/STATE",
        "siaga/1/6408/6408042001143/up/",
        "siaga/1/+/+/up/#",
    ],
)
def test_a_topic_that_is_none_of_ours_is_refused(topic: str) -> None:
    with pytest.raises(BadMessage):
        parse(topic)


@given(topic=st.text(max_size=60) | st.lists(st.text(max_size=14), min_size=4, max_size=4).map("siaga/1/{0}".format))
def test_whatever_topic_comes_it_is_read_or_refused(topic: str) -> None:
    try:
        address = parse(topic)
    except BadMessage:
        return
    assert address.topic == topic


@pytest.mark.parametrize(
    "text", ["", "640804200114", "64080420011433", "640804200114 ", "٦408042001143", "-408042001143"]
)
def test_only_thirteen_plain_digits_are_a_station(text: str) -> None:
    assert is_station(STATION)
    assert not is_station(text)
