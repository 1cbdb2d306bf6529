"""What was captured of echoes and what programs say of them meet by the number on the wire, or not at all."""

import pytest

from agent.core.station import Family
from agent.edge.icmp import _request
from bench.measure import rtt
from bench.measure.rtt import errors_ms, told_by
from bench.measure.truth import REPLY, REQUEST, Passed, read, trips
from lab.netns import LabError

IP_HEADER = bytes([0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0, 198, 18, 0, 2, 198, 18, 0, 1])
PING = """PING 198.51.100.20 (198.51.100.20) 56(84) bytes of data.
64 bytes from 198.51.100.20: icmp_seq=1 ttl=62 time=0.612 ms
64 bytes from 198.51.100.20: icmp_seq=3 ttl=62 time=20.1 ms
--- 198.51.100.20 ping statistics ---
rtt min/avg/max/mdev = 0.612/10.356/20.100/9.744 ms
"""
FPING = """198.51.100.20 : [0], 64 bytes, 0.612 ms (0.612 avg, 0% loss)
198.51.100.20 : [1], timed out (0.612 avg, 50% loss)
198.51.100.20 : [2], 64 bytes, 1.61 ms (1.11 avg, 33% loss)
"""


def ms(number: float) -> int:
    return round(number * 1e6)


def test_an_echo_is_paired_with_its_own_answer_however_they_overtake_each_other() -> None:
    passed = [Passed(REQUEST, 7, 1, ms(0)), Passed(REQUEST, 7, 2, ms(20))]
    passed += [Passed(REPLY, 7, 2, ms(21)), Passed(REPLY, 7, 1, ms(25))]
    assert trips(passed) == {1: pytest.approx(0.025), 2: pytest.approx(0.001)}


def test_a_second_answer_changes_nothing_and_no_answer_is_no_trip() -> None:
    passed = [Passed(REQUEST, 7, 1, ms(0)), Passed(REPLY, 7, 1, ms(5)), Passed(REPLY, 7, 1, ms(9))]
    passed += [Passed(REQUEST, 7, 2, ms(20)), Passed(REPLY, 7, 3, ms(21))]
    assert trips(passed) == {1: pytest.approx(0.005)}


def test_two_programs_at_once_are_refused() -> None:
    with pytest.raises(LabError):
        trips([Passed(REQUEST, 7, 1, 0), Passed(REQUEST, 8, 1, 0)])


def test_our_own_echo_is_read_from_its_packet() -> None:
    request = _request(Family.IPV4, 4711, 9, bytes(8))
    assert read(IP_HEADER + request, 5) == Passed(REQUEST, 4711, 9, 5)
    options = bytes([0x46, *IP_HEADER[1:], 1, 1, 1, 0])
    assert read(options + request, 5) == Passed(REQUEST, 4711, 9, 5)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        IP_HEADER,
        IP_HEADER[:9] + b"\x11" + IP_HEADER[10:] + bytes(16),  # UDP
        b"\x60" + bytes(47),  # IPv6
        IP_HEADER + bytes([3, 1]) + bytes(14),  # unreachable
    ],
)
def test_what_is_no_echo_is_not_read(packet: bytes) -> None:
    assert read(packet, 5) is None


def test_what_ping_and_fping_print_is_read_by_its_number() -> None:
    assert told_by("ping", PING) == {1: pytest.approx(0.000612), 3: pytest.approx(0.0201)}
    assert told_by("fping", FPING) == {0: pytest.approx(0.000612), 2: pytest.approx(0.00161)}


def test_errors_are_of_the_same_echo_and_too_few_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtt, "ECHOES", 3)
    told, true = {1: 0.001, 2: 0.0019, 3: 0.0045}, {1: 0.0015, 2: 0.002, 3: 0.004}
    assert errors_ms(told, true) == pytest.approx([0.1, 0.5, 0.5])
    with pytest.raises(LabError):
        errors_ms({1: 0.001, 2: 0.002}, true)
    with pytest.raises(LabError):
        errors_ms(told | {4: 0.001}, true)
