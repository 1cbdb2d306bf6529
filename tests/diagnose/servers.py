"""The far end's servers, and false ones: each answers in a thread from a socket that was opened where it belongs."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from lab.namespace import within

A, NXDOMAIN, SERVFAIL = 1, 3, 2
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
CONNACK = b"\x20\x02\x00\x00"
Talk = Callable[[socket.socket], None]


@contextmanager
def tcp(name: str, address: str, port: int, talk: Talk) -> Iterator[None]:
    """Each connection is handed to `talk`, one after the other."""
    with within(name):
        listening = socket.create_server((address, port))

    def serve() -> None:
        while True:
            try:
                opened, _ = listening.accept()
            except OSError:
                return
            with opened:
                opened.settimeout(10)
                try:
                    talk(opened)
                except OSError:
                    continue

    with _thread(serve, listening):
        yield


@contextmanager
def udp(name: str, address: str, port: int, answer: Callable[[bytes], bytes | None]) -> Iterator[None]:
    with within(name):
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind((address, port))

    def serve() -> None:
        while True:
            try:
                question, source = listening.recvfrom(4096)
                said = answer(question) if question else None
                if said is not None:
                    listening.sendto(said, source)
            except OSError:
                return

    with _thread(serve, listening):
        yield


@contextmanager
def _thread(serve: Callable[[], None], listening: socket.socket) -> Iterator[None]:
    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR) if listening.type == socket.SOCK_STREAM else _wake(listening)
        listening.close()
        serving.join(5)


def _wake(listening: socket.socket) -> None:
    """A thread that waits for a datagram wakes when the socket can give none any more."""
    try:
        listening.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # says so, and wakes it all the same


def page(status: str, body: str, *headers: str) -> Talk:
    def talk(opened: socket.socket) -> None:
        _request(opened)
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", "Connection: close", *headers]
        opened.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode())

    return talk


def broker(connack: bytes = CONNACK) -> Talk:
    """A stand-in: acknowledges a session and hears it end."""

    def talk(opened: socket.socket) -> None:
        if opened.recv(100)[:1] == b"\x10":
            opened.sendall(connack)
            opened.recv(100)

    return talk


def silence(opened: socket.socket) -> None:
    """Takes the connection and says nothing until the other side goes."""
    while opened.recv(1000):
        pass


def greeting(opened: socket.socket) -> None:
    """Of a server that speaks another language."""
    opened.recv(1000)
    opened.sendall(b"220 mail.example ESMTP\r\n")


def secure(certificate: Path) -> Talk:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    def talk(opened: socket.socket) -> None:
        with context.wrap_socket(opened.dup(), server_side=True) as safe:
            safe.recv(1)

    return talk


def resolver(answers: dict[str, str], otherwise: str | int = NXDOMAIN) -> Callable[[bytes], bytes]:
    """Names by their ending; `otherwise` is an address for every other name, or an error."""

    def answer(question: bytes) -> bytes:
        name, end = _name(question)
        kind = int.from_bytes(question[end : end + 2])
        found = next((address for zone, address in answers.items() if name.endswith(zone)), otherwise)
        records = b""
        if isinstance(found, str) and kind == A:
            records = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(found)
        flags = 0x8180 | (found if isinstance(found, int) else 0)
        head = question[:2] + flags.to_bytes(2) + b"\x00\x01" + bool(records).to_bytes(2) + b"\x00" * 4
        return head + question[12 : end + 4] + records

    return answer


def _name(question: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    return ".".join(labels), at + 1


def _request(opened: socket.socket) -> None:
    heard = b""
    while b"\r\n\r\n" not in heard:
        piece = opened.recv(4096)
        if not piece:
            return
        heard += piece


class Authority:
    """Signs certificates with openssl's own command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "ca.pem"
        self._openssl("req", "-x509", *KEY, "-subj", "/CN=Test Authority", "-days", "7300", "-keyout", "ca.key",
                      "-out", "ca.pem")  # fmt: skip

    def sign(self, name: str, begins: str = "20240101000000Z", ends: str = "20440101000000Z") -> Path:
        """A certificate for this host name, valid in that time."""
        stem = f"{name}-{begins}"
        self._openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        (self._folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        (self._folder / "index.txt").write_text("")
        (self._folder / "serial").write_text("01\n")
        (self._folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
            "unique_subject=no\n[p]\ncommonName=supplied\n"
        )
        self._openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-notext",
                      "-startdate", begins, "-enddate", ends, "-extfile", "ext",
                      "-in", f"{stem}.csr", "-out", f"{stem}.pem")  # fmt: skip
        return self._folder / f"{stem}.pem"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


IMPOSTOR = "02:00:00:00:66:66"


@contextmanager
def impostor(name: str, device: str, address: str) -> Iterator[None]:
    """Answers ARP for an address that is not its own."""

    def answer(frame: bytes) -> bytes | None:
        if frame[12:14] != b"\x08\x06" or frame[20:22] != b"\x00\x01" or frame[38:42] != socket.inet_aton(address):
            return None
        own = bytes.fromhex(IMPOSTOR.replace(":", ""))
        asker = frame[22:32]
        return frame[6:12] + own + frame[12:20] + b"\x00\x02" + own + socket.inet_aton(address) + asker

    with _wiretap(name, device, answer):
        yield


@contextmanager
def dhcp(name: str, device: str, offered: str, router: str) -> Iterator[list[str]]:
    """A stand-in for a DHCP server: offers, and notes what it was told."""
    heard: list[str] = []
    kinds = {1: "discover", 3: "request", 4: "decline", 7: "release", 8: "inform"}

    def answer(frame: bytes) -> bytes | None:
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != b"\x00\x43":
            return None
        said = BOOTP(frame[42:])
        options = {option[0]: option[1] for option in said[DHCP].options if isinstance(option, tuple)}
        heard.append(kinds[options["message-type"]])
        offer = (
            Ether(dst="ff:ff:ff:ff:ff:ff")
            / IP(src=router, dst="255.255.255.255")
            / UDP(sport=67, dport=68)
            / BOOTP(op=2, xid=said.xid, yiaddr=offered, siaddr=router, chaddr=said.chaddr)
            / DHCP(options=[("message-type", "offer"), ("server_id", router), ("router", router), "end"])
        )
        return bytes(offer)

    with _wiretap(name, device, answer):
        yield heard


@contextmanager
def _wiretap(name: str, device: str, answer: Callable[[bytes], bytes | None]) -> Iterator[None]:
    """Below the kernel's own stack, for as long as the block lasts."""
    with within(name):
        line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        line.bind((device, 0x0003))
    over = threading.Event()
    line.settimeout(0.1)

    def serve() -> None:
        while not over.is_set():
            try:
                said = answer(line.recv(2048))
                if said is not None:
                    line.send(said)
            except TimeoutError:
                continue
            except OSError:
                return

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        yield
    finally:
        over.set()
        serving.join(5)
        line.close()
