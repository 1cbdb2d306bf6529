"""Servers in namespaces of their own: what comes is counted and sent back, or told by whom it was sent."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.namespace import within

SO_RCVBUFFORCE = 33


class Udp:
    """Sends everything back; `answer` may make something else of (data, source address)."""

    def __init__(self, asked: socket.socket, answer: Callable[[bytes, str], bytes]) -> None:
        self._socket, self._answer = asked, answer
        self.bytes = 0

    def serve(self) -> None:
        while True:
            try:
                data, source = self._socket.recvfrom(65_536)
                if not data:
                    return
                self.bytes += len(data)
                self._socket.sendto(self._answer(data, source[0]), source)
            except OSError:
                continue  # somebody's port was closed, or the answer was not let through


@contextmanager
def udp(namespace: str, port: int, answer: Callable[[bytes, str], bytes] = lambda data, _: data) -> Iterator[Udp]:
    """On both families."""
    with within(namespace):
        listening = _bound(port)
    with listening:
        serving = Udp(listening, answer)
        thread = threading.Thread(target=serving.serve)
        thread.start()
        try:
            yield serving
        finally:
            with within(namespace), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"", ("::1", port))
            thread.join()


def _bound(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)  # what arrives is to be counted, not dropped here
    listening.bind(("::", port))
    return listening


@contextmanager
def tcp(namespace: str, port: int) -> Iterator[socket.socket]:
    """The listening socket, on both families; the test accepts by itself."""
    with within(namespace):
        listening = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    with listening:
        listening.settimeout(5)
        yield listening


def connect(namespace: str, address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket in that namespace; raises OSError as a program there would see it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with within(namespace):
        asking = socket.socket(family, kind)
    asking.settimeout(5)
    try:
        with within(namespace):
            asking.connect((address, port))
    except OSError:
        asking.close()
        raise
    return asking
