"""Our own connections from an address are aborted in a real kernel, and what must live on lives on.

Only a kernel that cannot abort is played: by a socket that answers in its place.
"""

import errno
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agent.core.station import Family
from agent.edge import sockets
from agent.edge.rawnetlink import HEADER, NLMSG_ERROR, NUMBER, message
from lab.namespace import within
from tests.edge.conftest import wait_until
from tests.edge.link import FAR, FAR6, NEAR, NEAR6, far, ip, wire

V4, V6 = Family.IPV4, Family.IPV6
OTHER, OTHER6 = "198.18.0.3", "2001:db8:1::3"
NOBODY = "198.18.0.77"
NAMELESS = 200  # a protocol's number that nobody has
PATIENCE_S = 5
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset, and leave nothing behind


class Peers:
    """Sockets of the station, each with its peer at the far end of the wire; all are closed when the test ends."""

    def __init__(self, built: ExitStack) -> None:
        self._built = built

    def keep(self, made: socket.socket) -> socket.socket:
        made.settimeout(PATIENCE_S)
        return self._built.enter_context(made)

    def bound(self, address: str, kind: int, port: int = 0, mapped: bool = False) -> socket.socket:
        made = self.keep(socket.socket(socket.AF_INET6 if mapped or ":" in address else socket.AF_INET, kind))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mapped:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((text(address, mapped), port))
        return made

    def listener(self, address: str) -> socket.socket:
        with within(far("wan0")):
            made = self.bound(address, socket.SOCK_STREAM)
        made.listen()
        return made

    def tcp(self, address: str, device: str = "", mapped: bool = False) -> tuple[socket.socket, socket.socket]:
        """A connection from the address: the station's end, and the far one."""
        peer = FAR6 if ":" in address else FAR
        listening = self.listener(peer)
        near = self.bound(address, socket.SOCK_STREAM, mapped=mapped)
        if device:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        near.connect((text(peer, mapped), listening.getsockname()[1]))
        return near, self.keep(listening.accept()[0])

    def udp(self, address: str, connected: bool = True, mapped: bool = False) -> tuple[socket.socket, socket.socket]:
        peer = FAR6 if ":" in address else FAR
        with within(far("wan0")):
            there = self.bound(peer, socket.SOCK_DGRAM)
        near = self.bound(address, socket.SOCK_DGRAM, mapped=mapped)
        if connected:
            near.connect((text(peer, mapped), there.getsockname()[1]))
        return near, there


def text(address: str, mapped: bool) -> str:
    return f"::ffff:{address}" if mapped else address


@pytest.fixture
def peers(cell: None) -> Iterator[Peers]:  # noqa: ARG001
    with wire(), ExitStack() as built:
        ip("addr", "add", f"{OTHER}/24", "dev", "wan0")
        ip("addr", "add", f"{OTHER6}/64", "dev", "wan0", "nodad")
        yield Peers(built)


def by_default(_: str) -> bool:
    return True


def abort(family: Family = V4, address: str = NEAR) -> int | None:
    return sockets.abort(family, (address,), by_default)


def is_aborted(near: socket.socket) -> bool:
    """It was told so; the kernel had done that before it answered."""
    return near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED


def lives(near: socket.socket, there: socket.socket) -> bool:
    """What the far end says is heard, and what is said reaches it."""
    is_udp = near.type == socket.SOCK_DGRAM
    if is_udp:
        there.connect((near.getsockname()[0].removeprefix("::ffff:"), near.getsockname()[1]))
    there.send(b"a")
    _, source = near.recvfrom(1)
    near.sendto(b"b", source) if is_udp else near.send(b"b")
    return there.recv(1) == b"b"


def test_a_connection_from_the_address_is_aborted_and_its_program_learns_it_at_once(peers: Peers) -> None:
    near, _ = peers.tcp(NEAR)
    assert abort() == 1
    with pytest.raises(ConnectionAbortedError):
        near.recv(1)


def test_who_waits_to_be_connected_need_not_wait_longer(peers: Peers) -> None:
    near = peers.bound(NEAR, socket.SOCK_STREAM)
    near.setblocking(False)
    assert near.connect_ex((NOBODY, 9)) == errno.EINPROGRESS
    assert abort() == 1
    assert is_aborted(near)


def test_a_connection_that_the_other_side_began_is_aborted_and_its_listener_goes_on(peers: Peers) -> None:
    listening = peers.bound(NEAR, socket.SOCK_STREAM)
    listening.listen()
    for _ in range(2):
        with within(far("wan0")):
            peers.bound(FAR, socket.SOCK_STREAM).connect(listening.getsockname())
        taken = peers.keep(listening.accept()[0])
        assert abort() == 1
        assert is_aborted(taken)


def test_a_connection_from_another_address_lives(peers: Peers) -> None:
    near, there = peers.tcp(OTHER)
    assert abort() == 0
    assert lives(near, there)
    assert sockets.abort(V4, (), by_default) == 0
    assert lives(near, there)


def test_all_addresses_that_are_named_count(peers: Peers) -> None:
    ends = [peers.tcp(NEAR)[0], peers.udp(OTHER)[0]]
    assert sockets.abort(V4, {NEAR, OTHER, NEAR6}, by_default) == 2
    assert all(is_aborted(near) for near in ends)


def test_what_is_bound_to_a_device_lives(peers: Peers) -> None:
    near, there = peers.tcp(NEAR, device="wan0")
    assert abort() == 0
    assert lives(near, there)


def test_who_is_reached_without_a_default_route_lives(peers: Peers) -> None:
    kept, there = peers.tcp(NEAR)
    kept_udp, there_udp = peers.udp(NEAR)
    going = peers.bound(NEAR, socket.SOCK_STREAM)
    going.setblocking(False)
    going.connect_ex((NOBODY, 9))
    asked = []

    def leaves(remote: str) -> bool:
        asked.append(remote)
        return remote != FAR

    assert sockets.abort(V4, (NEAR,), leaves) == 1
    assert sorted(asked) == [FAR, FAR, NOBODY]
    assert is_aborted(going)
    assert lives(kept, there)
    assert lives(kept_udp, there_udp)


def test_a_connected_udp_socket_is_aborted_and_an_unconnected_one_lives(peers: Peers) -> None:
    connected, _ = peers.udp(NEAR)
    unconnected, there = peers.udp(NEAR, connected=False)
    assert abort() == 1
    assert is_aborted(connected)
    assert lives(unconnected, there)


def test_ipv4_in_a_socket_of_ipv6_is_ipv4(peers: Peers) -> None:
    tcp, there = peers.tcp(NEAR, mapped=True)
    udp, there_udp = peers.udp(NEAR, mapped=True)
    other, there_other = peers.tcp(OTHER, mapped=True)
    assert sockets.abort(V6, (NEAR6, NEAR), by_default) == 0
    assert abort(V6, f"::ffff:{NEAR}") == 0
    assert lives(tcp, there)
    assert lives(udp, there_udp)
    asked = []
    assert sockets.abort(V4, (NEAR,), lambda remote: asked.append(remote) is None) == 2
    assert asked == [FAR, FAR]
    assert is_aborted(tcp)
    assert is_aborted(udp)
    assert lives(other, there_other)


def test_each_family_is_aborted_by_itself(peers: Peers) -> None:
    four, there_four = peers.tcp(NEAR)
    six, _ = peers.tcp(NEAR6)
    six_udp, _ = peers.udp(NEAR6)
    other, there_other = peers.tcp(OTHER6)
    asked = []
    assert sockets.abort(V6, ("2001:DB8:1:0::2", NEAR), lambda remote: asked.append(remote) is None) == 2
    assert asked == [FAR6, FAR6]
    assert is_aborted(six)
    assert is_aborted(six_udp)
    assert lives(other, there_other)
    assert lives(four, there_four)


def test_what_is_left_of_closed_connections_is_not_counted(peers: Peers) -> None:
    """Of one the far end has closed too, of the other it has not."""
    for there_closes in (True, False):
        near, there = peers.tcp(NEAR)
        near.close()
        if there_closes:
            assert there.recv(1) == b""
            there.close()
    wait_until(lambda: left_behind() == ["FIN-WAIT-2", "TIME-WAIT"])
    assert abort() == 0
    assert left_behind() == ["FIN-WAIT-2", "TIME-WAIT"]


def left_behind() -> list[str]:
    """Their states, as another program reads them."""
    command = ["ss", "-Htan", "state", "fin-wait-2", "state", "time-wait"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(line.split()[0] for line in shown.splitlines())


def end(near: socket.socket) -> None:
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    near.close()


def test_one_that_ends_meanwhile_is_no_error_and_the_others_still_go(peers: Peers) -> None:
    (ending, _), (going, _) = peers.tcp(NEAR), peers.tcp(NEAR)

    def leaves(_: str) -> bool:
        """Asked for the first time, all have been listed and none was aborted."""
        if ending.fileno() >= 0:
            end(ending)
        return True

    assert sockets.abort(V4, (NEAR,), leaves) == 1
    assert is_aborted(going)


def test_who_took_the_place_of_one_that_ended_lives(peers: Peers) -> None:
    """The same addresses and ports: only the cookie tells them apart."""
    listening = peers.listener(FAR)
    before = peers.bound(NEAR, socket.SOCK_STREAM)
    before.connect(listening.getsockname())
    peers.keep(listening.accept()[0])
    after: list[socket.socket] = []

    def leaves(_: str) -> bool:
        port = before.getsockname()[1]
        end(before)
        after.append(peers.bound(NEAR, socket.SOCK_STREAM, port))
        after[0].connect(listening.getsockname())
        return True

    assert sockets.abort(V4, (NEAR,), leaves) == 0
    assert lives(after[0], peers.keep(listening.accept()[0]))


def played(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A kernel that lists, and refuses to abort with that errno."""

    class Refusing(socket.socket):
        is_asked = False

        def send(self, data: bytes) -> int:
            self.is_asked = HEADER.unpack_from(data)[1] == sockets.SOCK_DESTROY
            return len(data) if self.is_asked else super().send(data)

        def recv(self, size: int) -> bytes:
            return message(NLMSG_ERROR, 0, NUMBER.pack(-number)) if self.is_asked else super().recv(size)

    monkeypatch.setattr(sockets, "opened", lambda protocol: Refusing(socket.AF_NETLINK, socket.SOCK_RAW, protocol))


def test_a_kernel_that_cannot_abort_is_told_from_one_with_nothing_to_abort(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(monkeypatch, errno.EOPNOTSUPP)
    assert abort() == 0
    near, there = peers.tcp(NEAR)
    assert abort() is None
    assert lives(near, there)


def test_any_other_refusal_is_an_error(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    peers.tcp(NEAR)
    played(monkeypatch, errno.EPERM)
    with pytest.raises(PermissionError):
        abort()


def test_a_kernel_that_cannot_list_a_protocol_aborts_the_others(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel can list a protocol that has no name."""
    monkeypatch.setattr(sockets, "STATES", {NAMELESS: sockets.STATES[socket.IPPROTO_UDP], **sockets.STATES})
    assert abort() is None
    near, _ = peers.tcp(NEAR)
    assert abort() == 1
    assert is_aborted(near)
