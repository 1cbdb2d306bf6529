"""Aborts this machine's own connections from given addresses, as `ss -K` does: their programs see it and connect anew.

The messages are those of linux/inet_diag.h and linux/sock_diag.h. Needs CAP_NET_ADMIN, and a kernel with
CONFIG_INET_DIAG_DESTROY. Each call has a socket of its own, so that any thread may call.
"""

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from agent.core.station import Family, family_of
from agent.edge.rawnetlink import FAMILY, NETLINK_SOCK_DIAG, NLM_F_ACK, NLM_F_DUMP, dump, message, opened, order

SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSING = 1, 10, 11
STATES = {
    socket.IPPROTO_TCP: ((1 << TCP_CLOSING + 1) - 1) & ~(1 << TCP_LISTEN),
    socket.IPPROTO_UDP: 1 << TCP_ESTABLISHED,  # what the kernel calls a UDP socket that has a remote address
}
NO_SOCKET = 3  # the timer of TIME_WAIT, and of FIN_WAIT2 that no program holds any more
REQUEST = struct.Struct("=BBxxI48s")  # inet_diag_req_v2: family, protocol, states, identity
FOUND = struct.Struct("=xxBx48s")  # how inet_diag_msg begins: timer, identity
IDENTITY = struct.Struct("=4x16s16sI8x")  # inet_diag_sockid: local and remote address, interface
NO_IDENTITY = bytes(IDENTITY.size)
MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class _Found:
    request: bytes
    """What names it to the kernel, with the cookie that no later socket of the same addresses and ports has."""
    local: str
    remote: str
    device: int
    """The interface that it is bound to, else nought."""


def abort(family: Family, addresses: Collection[str], leaves: Callable[[str], bool]) -> int | None:
    """Aborts TCP connections and connected UDP sockets whose local address is one of `addresses`; how many.

    None when the kernel cannot. Sockets bound to a device stay, and those with a remote address for which `leaves`
    says False; it is called in the caller's thread. IPv4-mapped IPv6 sockets are IPv4. Raises OSError.
    """
    ours = {str(ip_address(address)) for address in addresses if family_of(address) is family}
    aborted, is_refused = 0, False
    with opened(NETLINK_SOCK_DIAG) as asking:
        for protocol in STATES:
            found = _sockets(asking, family, protocol)
            is_refused |= found is None
            for each in found or ():
                if each.local not in ours or each.device or not leaves(each.remote):
                    continue
                match _refusal(asking, each):
                    case 0:
                        aborted += 1
                    case errno.EOPNOTSUPP:
                        is_refused = True
    return None if is_refused and not aborted else aborted


def _sockets(asking: socket.socket, family: Family, protocol: int) -> list[_Found] | None:
    """IPv4-mapped ones are listed with those of IPv6. None when the kernel has no inet_diag for the protocol."""
    numbers = {FAMILY[family], socket.AF_INET6}
    try:
        return [each for number in numbers for each in _listed(asking, number, protocol)]
    except FileNotFoundError:
        return None


def _listed(asking: socket.socket, number: int, protocol: int) -> Iterator[_Found]:
    question = REQUEST.pack(number, protocol, STATES[protocol], NO_IDENTITY)
    for _, body in dump(asking, message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, question)):
        timer, identity = FOUND.unpack_from(body)
        if timer == NO_SOCKET:
            continue
        local, remote, device = IDENTITY.unpack(identity)
        yield _Found(
            REQUEST.pack(number, protocol, 0, identity), _address(number, local), _address(number, remote), device
        )


def _address(number: int, packed: bytes) -> str:
    if number == socket.AF_INET:
        packed = packed[:4]
    return str(ip_address(packed.removeprefix(MAPPED)))


def _refusal(asking: socket.socket, found: _Found) -> int:
    """Nought when it was aborted, else why not: it has ended meanwhile, or the kernel cannot."""
    try:
        order(asking, message(SOCK_DESTROY, NLM_F_ACK, found.request))
    except OSError as why:
        if why.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise
        return why.errno
    return 0
