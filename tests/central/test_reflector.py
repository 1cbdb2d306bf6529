"""The reflector: what it answers and to whom it is silent; as rules told the time, and with packets on loopback."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.stamp import (
    ErrorEstimate,
    STAMPSessionReflectorTestUnauthenticated,
    STAMPSessionSenderTestUnauthenticated,
)

from central.core.reflect import LARGEST_BYTES, Asked, Limits, Reflection
from central.edge.reflector import Reflector, listener
from tests.central.centre import Centre, eventually
from wire.stamp import (
    OPEN_BYTES,
    SEALED_BYTES,
    Accuracy,
    Refused,
    Reply,
    Request,
    nanoseconds,
    read_reply,
    request_bytes,
    timestamp,
)

CLOCK = Accuracy(synchronised=True, scale=20, multiplier=100)
KEY = b"sixteen letters!"
NOW_NS = 1_790_000_000_000_000_000


def request(seq: int = 0, ssid: int = 0, key: bytes | None = None) -> bytes:
    return request_bytes(Request(seq, timestamp(NOW_NS + seq), Accuracy(), ssid), key)


def ask(
    reflection: Reflection, data: bytes, host: str = "192.0.2.1", port: int = 50_000, now: float = 0.0
) -> bytes | None:
    return reflection.answer(Asked(data, host, port, 57, NOW_NS + 1000), CLOCK, NOW_NS + 3000, now)


def numbers(reflection: Reflection, asks: int, **who: object) -> list[int]:
    found = [ask(reflection, request(seq), **who) for seq in range(asks)]  # type: ignore[arg-type]
    return [read_reply(data).seq for data in found if data is not None]


def test_a_reply_tells_both_times_the_ttl_and_what_was_asked() -> None:
    reply = read_reply(ask(Reflection(), request(7)) or b"")
    assert reply.request == Request(7, timestamp(NOW_NS + 7), Accuracy())
    assert (nanoseconds(reply.received), nanoseconds(reply.timestamp)) == (NOW_NS + 1000, NOW_NS + 3000)
    assert (reply.seq, reply.ttl, reply.accuracy) == (0, 57, CLOCK)


def test_each_address_port_and_session_number_has_a_count_of_its_own() -> None:
    reflection = Reflection()
    assert numbers(reflection, 3) == [0, 1, 2]
    assert numbers(reflection, 2, port=50_001) == [0, 1]
    assert numbers(reflection, 2, host="192.0.2.2") == [0, 1]
    assert read_reply(ask(reflection, request(0, ssid=9)) or b"").seq == 0
    assert numbers(reflection, 1) == [3]


bytes_of_any_kind = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda seq, ssid, more, key: request(seq, ssid, key) + more,
        st.integers(0, 1000),
        st.integers(0, 0xFFFF),
        st.binary(max_size=1500),
        st.sampled_from([None, KEY, b"another key that is not ours"]),
    ),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(bytes_of_any_kind, st.integers(0, 3), st.floats(0, 9)), max_size=20), st.booleans())
def test_it_is_never_an_amplifier(came: list[tuple[bytes, int, float]], sealed: bool) -> None:
    """Whatever comes, from whomever: not a byte more leaves than came, and nothing where there was no question."""
    reflection = Reflection((lambda _: KEY) if sealed else None, Limits(source_burst=5, sessions=2, sources=2))
    now = 0.0
    for data, port, later_s in came:
        now += later_s
        answer = ask(reflection, data, f"2001:db8:{port}::1", port, now)
        if answer is not None:
            assert len(answer) == len(data) <= LARGEST_BYTES
            assert answer[SEALED_BYTES if sealed else OPEN_BYTES :] == data[SEALED_BYTES if sealed else OPEN_BYTES :]
            assert ask(reflection, answer, "192.0.2.9", 862, now) is None  # what it says, nobody can make it answer
            read_reply(answer, KEY if sealed else None)
    counts = reflection.counts
    told = counts.answered + counts.malformed + counts.reply + counts.unauthentic + counts.limited
    assert told == len(came) + counts.answered


def test_what_needs_more_than_one_frame_is_not_answered() -> None:
    reflection = Reflection()
    assert ask(reflection, request() + bytes(LARGEST_BYTES - OPEN_BYTES)) is not None
    assert ask(reflection, request() + bytes(LARGEST_BYTES - OPEN_BYTES + 1)) is None
    assert reflection.counts.malformed == 1


def test_with_a_key_only_what_was_made_with_it_is_answered_and_the_rest_is_counted() -> None:
    reflection = Reflection({5: KEY}.get)
    for data in (request(), request(ssid=5), request(ssid=6, key=KEY), request(ssid=5, key=b"another")):
        assert ask(reflection, data) is None
    assert (reflection.counts.malformed, reflection.counts.unauthentic) == (2, 2)
    reply = ask(reflection, request(ssid=5, key=KEY)) or b""
    assert (len(reply), read_reply(reply, KEY).seq) == (SEALED_BYTES, 0)


def test_without_a_key_a_sealed_packet_is_not_answered() -> None:
    assert ask(Reflection(), request(key=KEY)) is None


def test_one_source_cannot_have_more_than_its_share_and_another_gets_its_own() -> None:
    reflection = Reflection(limits=Limits(source_per_s=10, source_burst=20))
    assert len(numbers(reflection, 30)) == 20
    assert len(numbers(reflection, 30, port=50_001)) == 0
    assert len(numbers(reflection, 30, host="192.0.2.2")) == 20
    assert len(numbers(reflection, 30, now=1.0)) == 10
    assert len(numbers(reflection, 30, now=1000.0)) == 20
    assert reflection.counts.limited == 10 + 30 + 10 + 20 + 10


def test_an_ipv6_source_is_its_network() -> None:
    reflection = Reflection(limits=Limits(source_per_s=10, source_burst=20))
    assert len(numbers(reflection, 15, host="2001:db8:1:2::1")) == 15
    assert len(numbers(reflection, 15, host="2001:db8:1:2:ffff::9")) == 5
    assert len(numbers(reflection, 15, host="2001:db8:1:3::1")) == 15
    assert len(numbers(reflection, 15, host="::ffff:192.0.2.1")) == 15
    assert len(numbers(reflection, 15, host="::ffff:192.0.2.2")) == 15


def test_all_sources_together_have_a_limit() -> None:
    reflection = Reflection(limits=Limits(total_per_s=10, total_burst=50))
    answered = sum(len(numbers(reflection, 1, host=f"192.0.2.{n}")) for n in range(100))
    assert answered == 50


def test_a_wrong_seal_uses_up_nothing_of_a_station() -> None:
    reflection = Reflection(lambda _: KEY, Limits(source_burst=1, total_burst=1))
    for _ in range(100):
        ask(reflection, request(key=b"another"))
    assert ask(reflection, request(key=KEY)) is not None


def test_sessions_are_bounded_and_the_one_that_was_quiet_longest_goes_first() -> None:
    reflection = Reflection(limits=Limits(sessions=3))
    for port in (1, 2, 3):
        assert numbers(reflection, 1, port=port) == [0]
    assert numbers(reflection, 1, port=1) == [1]
    assert numbers(reflection, 1, port=4) == [0]
    assert numbers(reflection, 1, port=1) == [2]
    assert numbers(reflection, 1, port=2) == [0]
    assert reflection.counts.evicted == 2
    assert len(reflection._sessions) == 3


def test_a_session_that_was_quiet_for_long_is_forgotten() -> None:
    reflection = Reflection(limits=Limits(kept_s=100))
    assert numbers(reflection, 2, now=0.0) == [0, 1]
    assert numbers(reflection, 1, now=99.0) == [2]
    assert numbers(reflection, 1, now=198.0) == [3]
    assert numbers(reflection, 1, now=299.0, port=9) == [0]
    assert len(reflection._sessions) == 1
    assert reflection.counts.evicted == 0


@pytest.fixture
def running() -> Iterator[Callable[..., Reflector]]:
    """A reflector on a socket of loopback."""
    with ExitStack() as opened:

        def run(bound: socket.socket, **more: object) -> Reflector:
            opened.enter_context(bound)
            reflector = Reflector(bound, **more)  # type: ignore[arg-type]
            reflector.start()
            opened.callback(reflector.stop)
            return reflector

        yield run


def asker(to: str, port: int, own: str = "") -> socket.socket:
    """Hears answers from nobody but whom it asks."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.settimeout(10)
    if own:
        opened.bind((own, 0))
    opened.connect((to, port))
    return opened


def answered(asking: socket.socket, data: bytes, key: bytes | None = None) -> Reply:
    asking.send(data)
    return read_reply(asking.recv(2048), key)


@pytest.mark.parametrize(("bound_to", "asked_at"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")])
def test_scapys_packet_is_answered_and_scapy_reads_the_answer(
    running: Callable[..., Reflector], bound_to: str, asked_at: str
) -> None:
    bound = listener(bound_to, 0)
    running(bound)
    sent = STAMPSessionSenderTestUnauthenticated(
        seq=41, ts=time.time() + 2_208_988_800, err_estimate=ErrorEstimate(S=1, scale=12, multiplier=7), ssid=77
    )
    with asker(asked_at, bound.getsockname()[1]) as asking:
        before_s = time.time()
        asking.send(bytes(sent))
        read = STAMPSessionReflectorTestUnauthenticated(asking.recv(2048))
    assert (read.seq, read.seq_sender, read.ssid) == (0, 41, 77)
    assert bytes(read)[28:36] == bytes(sent)[4:12]
    assert bytes(read.err_estimate_sender) == bytes(sent.err_estimate)
    assert before_s - 1e-4 <= read.ts_rx - 2_208_988_800 <= read.ts - 2_208_988_800 <= time.time()
    assert read.ttl_sender == 64
    assert (read.mbz1, read.mbz2) == (0, 0)


def test_when_a_packet_came_is_told_by_the_kernel_and_not_by_when_it_was_read(
    running: Callable[..., Reflector],
) -> None:
    with closing(listener("127.0.0.1", 0)) as warming:  # the kernel begins to stamp a moment after it was asked to
        eventually(lambda: is_stamped(warming))
        bound = listener("127.0.0.1", 0)
        with asker("127.0.0.1", bound.getsockname()[1]) as asking:
            asking.send(request())
            until_ns = time.time_ns() + 20_000_000
            while time.time_ns() < until_ns:  # not to wait: the packet lies there, and time passes
                pass
            running(bound)
            reply = read_reply(asking.recv(2048))
    assert nanoseconds(reply.received) < until_ns - 10_000_000
    assert nanoseconds(reply.timestamp) > until_ns


def is_stamped(hearing: socket.socket) -> bool:
    with asker("127.0.0.1", hearing.getsockname()[1]) as asking:
        asking.send(b"hello")
        hearing.settimeout(5)
        return any(kind == 35 for _, kind, _ in hearing.recvmsg(100, 256)[1])


def test_the_answer_comes_from_the_address_that_was_asked(running: Callable[..., Reflector]) -> None:
    bound = listener("0.0.0.0", 0)
    running(bound)
    with asker("127.0.0.9", bound.getsockname()[1], own="127.0.0.3") as asking:
        assert answered(asking, request(3)).request.seq == 3


def test_a_broadcast_is_not_answered(running: Callable[..., Reflector]) -> None:
    bound = listener("0.0.0.0", 0)
    reflector = running(bound)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.sendto(request(1), ("127.255.255.255", bound.getsockname()[1]))
        asking.sendto(request(2), ("127.0.0.1", bound.getsockname()[1]))
        asking.settimeout(10)
        assert read_reply(asking.recv(2048)).request.seq == 2
    assert (reflector.counts.malformed, reflector.counts.answered) == (1, 1)


@settings(deadline=None, max_examples=10)
@given(st.lists(bytes_of_any_kind, max_size=30))
def test_no_more_leaves_the_socket_than_came_and_it_lives(came: list[bytes]) -> None:
    with listener("127.0.0.1", 0) as bound:
        reflector = Reflector(bound)
        reflector.start()
        try:
            with asker("127.0.0.1", bound.getsockname()[1]) as asking:
                for data in came:
                    asking.send(data)
                asking.send(request(123_456))
                heard = 0
                while (size := len(data := asking.recv(65_536))) and read_reply(data).request.seq != 123_456:
                    heard += size
            assert heard <= sum(map(len, came))
            assert reflector.is_alive()
        finally:
            reflector.stop()


def test_a_reflector_that_is_started_again_answers_on_the_same_socket(running: Callable[..., Reflector]) -> None:
    bound = listener("127.0.0.1", 0)
    reflector = running(bound, key_of=lambda _: KEY)
    with asker("127.0.0.1", bound.getsockname()[1]) as asking:
        assert answered(asking, request(1, key=KEY), KEY).seq == 0
        reflector.stop()
        assert not reflector.is_alive()
        reflector.start()
        assert answered(asking, request(2, key=KEY), KEY).seq == 1


def test_strangers_fill_one_line_of_the_log_and_not_one_each(
    running: Callable[..., Reflector], caplog: pytest.LogCaptureFixture
) -> None:
    bound = listener("127.0.0.1", 0)
    with asker("127.0.0.1", bound.getsockname()[1]) as asking:
        reflector = running(bound)
        for _ in range(50):
            asking.send(b"nonsense")
        answered(asking, request())
        reflector._loop.call_soon_threadsafe(reflector._complain)
        eventually(lambda: len(caplog.records) == 1)
        reflector._loop.call_soon_threadsafe(reflector._complain)
        answered(asking, request())
    assert [record.message.count("malformed=50") for record in caplog.records] == [1]


def test_the_centre_answers_test_packets_where_it_was_told_to(tmp_path: Path) -> None:
    key, file = tmp_path / "key", tmp_path / "siaga.yaml"
    with listener("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    key.write_text(KEY.hex())
    file.write_text(f"stamp: 127.0.0.1:{port}\nstamp_key: {key}\n")
    centre = Centre(tmp_path, "--config", str(file)).start()
    try:
        assert f"stamp   127.0.0.1:{port}\n" in centre.output
        with asker("127.0.0.1", port) as asking:
            asking.send(request())
            assert answered(asking, request(2, key=KEY), KEY).request.seq == 2
    finally:
        centre.end()


def test_a_port_that_is_taken_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "siaga.yaml").write_text(f"stamp: 127.0.0.1:{port}\n")
        refusal = Centre(tmp_path, "--config", str(tmp_path / "siaga.yaml")).refusal()
    assert f"stamp 127.0.0.1:{port} cannot be used: Address already in use" in refusal


def test_an_open_answer_is_no_sealed_one() -> None:
    with pytest.raises(Refused):
        read_reply(ask(Reflection(), request()) or b"", KEY)
