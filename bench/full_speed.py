"""Sends UDP to addresses from unconnected sockets as fast as it can, and counts what the kernel refuses."""

import errno
import json
import signal
import socket
import sys
from collections import Counter

PORT = 9  # discard
AT_ONCE = 500  # between two looks whether it is to end


def main(addresses: list[str]) -> int:
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    sockets = [
        (socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM), (address, PORT))
        for address in addresses
    ]
    refused: Counter[str] = Counter()
    rounds = 0
    while not ending:
        _send(sockets, refused)
        rounds += AT_ONCE
    print(json.dumps({"sent_to_each": rounds, "refused": refused}), flush=True)
    return 0


def _send(sockets: list[tuple[socket.socket, tuple[str, int]]], refused: Counter[str]) -> None:
    data = bytes(8)
    for _ in range(AT_ONCE):
        for sending, there in sockets:
            try:
                sending.sendto(data, there)
            except OSError as why:
                refused[f"{errno.errorcode.get(why.errno or 0, str(why))} to {there[0]}"] += 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
