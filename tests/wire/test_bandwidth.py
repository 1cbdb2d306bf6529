"""Lines and packets of bandwidth tests survive the way, and nonsense is refused as nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.bandwidth import (
    LEAST_BYTES,
    Ask,
    Await,
    Busy,
    HowMuch,
    Kind,
    Packet,
    Question,
    Received,
    Refused,
    Reply,
    Seen,
    Transfer,
    Turn,
    Way,
    line,
    packet_bytes,
    read_packet,
    read_question,
    read_reply,
    stamped,
)
from wire.messages import BadMessage

QUESTIONS: list[Question] = [Ask("lte a 64", 200_000, 30.0), Await(2, 60), HowMuch(), Transfer("00ff", Way.UP, 10, 0.6)]
REPLIES: list[Reply] = [
    Turn("00ff", 30.0, 1000),
    Busy(4.5),
    Refused("no"),
    Seen(((0, 0), (2, 31)), 5.0, 0.001, False, 32_000, 1),
    Received(10, None, False, 0.0),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_read_as_it_was_asked(question: Question) -> None:
    assert line(question).count(b"\n") == 1
    assert read_question(line(question)) == question


@pytest.mark.parametrize("reply", REPLIES)
def test_an_answer_is_read_as_it_was_given(reply: Reply) -> None:
    assert read_reply(line(reply)) == reply


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff\xfe", b'{"type":"turn"}', b'{"type":"ask","group":1,"bytes":2,"lasts_s":3}', b"[" * 5000],
)
def test_a_line_of_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        read_question(data)
    with pytest.raises(BadMessage):
        read_reply(data)


def test_a_packet_is_read_as_it_was_sent_whatever_fills_it() -> None:
    packet = Packet(Kind.TRAIN, bytes(range(8)), bytes(range(16)), 3, 59, 60, 1200, 2**63, 5, 7)
    assert read_packet(packet_bytes(packet)) == packet
    assert read_packet(packet_bytes(packet, 1200)) == packet
    assert (len(packet_bytes(packet)), len(packet_bytes(packet, 1200))) == (LEAST_BYTES, 1200)


def test_a_stamp_is_put_on_when_the_packet_leaves() -> None:
    packet = Packet(Kind.TRAIN, bytes(8), bytes(16), 3, 59, 60, 1200, 1, 5, 7)
    late = stamped(packet_bytes(packet, 1200), 99)
    assert read_packet(late) == Packet(Kind.TRAIN, bytes(8), bytes(16), 3, 59, 60, 1200, 99, 5, 7)
    assert len(late) == 1200


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_refused(data: bytes) -> None:
    try:
        packet = read_packet(data)
    except BadMessage:
        return
    assert packet_bytes(packet) == data[:5] + b"\0" + data[6:LEAST_BYTES]
