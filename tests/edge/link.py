"""A wire to the other side: a veth pair whose far end is in a namespace of its own and answers echoes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.namespace import within

NEAR, FAR = "198.18.0.2", "198.18.0.1"
NEAR6, FAR6 = "2001:db8:1::2", "2001:db8:1::1"
ELSEWHERE, ELSEWHERE6 = "203.0.113.7", "2001:db8:99::7"


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def far(name: str) -> str:
    """The namespace at the other end; its name is this process's own."""
    return f"far-{name}-{os.getpid()}"


@contextmanager
def space(name: str) -> Iterator[str]:
    """A network of its own, whose IPv6 addresses work at once."""
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        with within(name):
            Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)  # a test may have done it


@contextmanager
def wire(name: str = "wan0") -> Iterator[str]:
    """Gives the near end's name; the far end holds FAR and, behind it, ELSEWHERE."""
    with space(far(name)) as there:
        try:
            ip("link", "add", name, "type", "veth", "peer", "name", "end", "netns", there)
            for where, device, address, address6 in (([], name, NEAR, NEAR6), (["-n", there], "end", FAR, FAR6)):
                ip(*where, "addr", "add", f"{address}/24", "dev", device)
                ip(*where, "addr", "add", f"{address6}/64", "dev", device, "nodad")
                ip(*where, "link", "set", device, "up")
            ip("-n", there, "addr", "add", f"{ELSEWHERE}/32", "dev", "lo")
            ip("-n", there, "addr", "add", f"{ELSEWHERE6}/128", "dev", "lo")
            yield name
        finally:
            subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)  # likewise


def another_way_out() -> None:
    """A default route by another device, in both families; it takes whatever is not bound to its own."""
    ip("link", "add", "other", "type", "veth", "peer", "name", "nowhere")
    ip("link", "set", "nowhere", "up")
    ip("addr", "add", "192.0.2.1/32", "dev", "other")
    ip("addr", "add", "2001:db8:7::1/64", "dev", "other", "nodad")
    ip("link", "set", "other", "up")
    ip("route", "add", "default", "dev", "other")
    ip("-6", "route", "add", "default", "dev", "other")
