"""Kernel switches: set what forwarding needs, remember what was there before, put it back at cleanup."""

import json
import logging
from pathlib import Path

from agent.core.station import Family
from agent.edge.clock import boot_id

log = logging.getLogger(__name__)

ROOT = Path("/proc/sys/net")
STRICT, LOOSE = "1", "2"  # of rp_filter; the greater of all and of the interface counts


class Sysctls:
    """What was there before stands in a file, so that a cleanup in another process, after a crash, can restore it.

    Of this boot only: with another one the kernel begins with what the system's own files say.
    """

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "sysctls-before.json"

    def forward(self, families: tuple[Family, ...], uplinks: tuple[str, ...]) -> None:
        """Forward packets; keep on listening to router advertisements, which forwarding would switch off."""
        if Family.IPV4 in families:
            self._forward("ipv4", "ipv4/ip_forward", ("ipv4/conf/all/accept_redirects",))
        if Family.IPV6 in families:
            for uplink in uplinks:
                if self._read(f"ipv6/conf/{uplink}/accept_ra") == "1":
                    self._set(f"ipv6/conf/{uplink}/accept_ra", "2")
            self._forward("ipv6", "ipv6/conf/all/forwarding")

    def accept_answers(self, uplinks: tuple[str, ...]) -> None:
        """On an uplink that is not the chosen one answers come too, where a strict check of the way back drops them
        (RFC 3704); and without a signal an uplink is passed over by the kernel itself, even when we are dead.
        """
        for uplink in uplinks:
            checks = [self._read(f"ipv4/conf/{name}/rp_filter") for name in ("all", uplink)]
            if max(check or "0" for check in checks) == STRICT:
                self._set(f"ipv4/conf/{uplink}/rp_filter", LOOSE)
            for family in ("ipv4", "ipv6"):
                self._set(f"{family}/conf/{uplink}/ignore_routes_with_linkdown", "1")

    def rename(self, was: str, name: str) -> None:
        """An interface keeps its switches; what they were before is remembered under its new name."""
        before = self._before()
        after = {key.replace(f"/conf/{was}/", f"/conf/{name}/"): value for key, value in before.items()}
        if after != before:
            self._write(after)

    def restore(self) -> None:
        """What was remembered last goes first; an interface that is gone has nothing to be put back."""
        for key, value in reversed(self._before().items()):
            try:
                if self._read(key) not in (None, value):
                    (ROOT / key).write_text(value)
            except OSError as why:
                log.warning("%s: cannot be put back to %s: %s", key, value, why)
        self._file.unlink(missing_ok=True)

    def _forward(self, family: str, key: str, more: tuple[str, ...] = ()) -> None:
        """With this switch the kernel sets every interface's own too, and forgets how those were."""
        if self._read(key) == "0":
            names = sorted(path.name for path in (ROOT / family / "conf").iterdir() if path.name != "all")
            self._remember(*more, *(f"{family}/conf/{name}/forwarding" for name in names))
            self._set(key, "1")

    def _set(self, key: str, value: str) -> None:
        if self._read(key) not in (None, value):
            self._remember(key)
            (ROOT / key).write_text(value)

    def _remember(self, *keys: str) -> None:
        before = self._before()
        found = {key: value for key in keys if key not in before and (value := self._read(key)) is not None}
        if found:
            self._write(before | found)

    def _write(self, before: dict[str, str]) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps({"boot": boot_id(), "before": before}))
        beside.replace(self._file)  # whole or not at all, should the power fail

    def _before(self) -> dict[str, str]:
        try:
            kept = json.loads(self._file.read_text())
            return dict(kept["before"]) if kept["boot"] == boot_id() else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    @staticmethod
    def _read(key: str) -> str | None:
        try:
            return (ROOT / key).read_text().strip()
        except OSError:
            return None
