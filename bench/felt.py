"""What programs feel when the traffic moves: connections, a stream, a download, of a LAN's client or of the station."""

import errno
import selectors
import socket
from bisect import bisect_right
from itertools import pairwise

from bench.loop import Loop
from bench.table import NEVER
from lab.internet import DOWNLOAD_PORT, ECHO_PORT
from lab.namespace import within
from lab.topology import SERVER

TALK_BYTES, TALK_EVERY_S = 20, 0.1  # as somebody who types, or a form that is filled in
STREAM_EVERY_S = 0.01
CONNECT_S = 5.0


class Connection:
    """To the server, TCP or connected UDP; it notes when it is told that it is of no use any more."""

    port = ECHO_PORT

    def __init__(self, loop: Loop, name: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self._loop = loop
        self.told_s = NEVER
        self.error = ""
        with within(name):
            self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.settimeout(CONNECT_S)
        self._socket.connect((SERVER, self.port))
        self._socket.setblocking(False)
        loop.hear(self._socket, self._read)

    def _read(self, now_s: float) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as why:
            self._tell(now_s, errno.errorcode.get(why.errno or 0, str(why)))
            return
        if data:
            self._heard(now_s)
        else:
            self._tell(now_s, "closed")

    def _heard(self, now_s: float) -> None:
        """Something came."""

    def _send(self, now_s: float, data: bytes) -> None:
        if self.told_s != NEVER:
            return
        try:
            self._socket.send(data)
        except BlockingIOError:
            return
        except OSError as why:
            self._tell(now_s, errno.errorcode.get(why.errno or 0, str(why)))

    def _tell(self, now_s: float, error: str) -> None:
        self.told_s, self.error = now_s, error
        self._loop.forget(self._socket)


class Talk(Connection):
    """TCP on which a little is said again and again."""

    def __init__(self, loop: Loop, name: str) -> None:
        super().__init__(loop, name)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.every(TALK_EVERY_S, lambda now_s: self._send(now_s, bytes(TALK_BYTES)))


class Stream(Connection):
    """UDP between fixed ports, every packet of it echoed."""

    def __init__(self, loop: Loop, name: str) -> None:
        self.answers_s: list[float] = []
        super().__init__(loop, name, socket.SOCK_DGRAM)
        loop.every(STREAM_EVERY_S, lambda now_s: self._send(now_s, bytes(8)))

    def _heard(self, now_s: float) -> None:
        self.answers_s.append(now_s)

    def _tell(self, now_s: float, error: str) -> None:
        """An unreachable is a silence like any other."""

    def next_answer_s(self, after_s: float) -> float:
        place = bisect_right(self.answers_s, after_s)
        return self.answers_s[place] if place < len(self.answers_s) else NEVER


class Download(Connection):
    """TCP that the server fills for ever."""

    port = DOWNLOAD_PORT

    def __init__(self, loop: Loop, name: str) -> None:
        self._pieces_s: list[float] = []
        super().__init__(loop, name)
        loop.every(1.0, lambda now_s: self._send(now_s, b"."))  # who only listens would never learn

    def _heard(self, now_s: float) -> None:
        self._pieces_s.append(now_s)

    def longest_gap_s(self, from_s: float, to_s: float) -> float:
        """Between two pieces, or from the last one to the end."""
        seen = [from_s, *(at_s for at_s in self._pieces_s if from_s < at_s < to_s), to_s]
        return max(later - earlier for earlier, later in pairwise(seen))


class NewConnection:
    """TCP that is begun when asked."""

    def __init__(self, loop: Loop, name: str) -> None:
        self._loop = loop
        self.begun_s = self.made_s = NEVER
        self.port = 0
        with within(name):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def begin(self, now_s: float) -> None:
        if self.begun_s == NEVER:
            self.begun_s = now_s
            if self._socket.connect_ex((SERVER, ECHO_PORT)) != errno.EINPROGRESS:
                return  # refused: it is never made
            self.port = self._socket.getsockname()[1]
            self._loop.hear(self._socket, self._written, selectors.EVENT_WRITE)

    def _written(self, now_s: float) -> None:
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            self.made_s = now_s
        self._loop.forget(self._socket)
