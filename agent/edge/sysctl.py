"""Kernel switches: set what forwarding needs, remember what was there before, put it back at cleanup."""

import json
import logging
from pathlib import Path

from agent.core.station import Family

log = logging.getLogger(__name__)

ROOT = Path("/proc/sys/net")
STRICT, LOOSE = "1", "2"  # of rp_filter; the greater of all and of the interface counts


class Sysctls:
    """What was there before stands in a file, so that a cleanup in another process, after a crash, can restore it."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "sysctls-before.json"

    def forward(self, families: tuple[Family, ...], uplinks: tuple[str, ...]) -> None:
        """Forward packets; keep on listening to router advertisements, which forwarding would switch off."""
        if Family.IPV4 in families:
            self._set("ipv4/ip_forward", "1")
        if Family.IPV6 in families:
            for uplink in uplinks:
                if self._read(f"ipv6/conf/{uplink}/accept_ra") == "1":
                    self._set(f"ipv6/conf/{uplink}/accept_ra", "2")
            self._set("ipv6/conf/all/forwarding", "1")

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

    def restore(self) -> None:
        for key, value in reversed(self._before().items()):
            try:
                (ROOT / key).write_text(value)
            except OSError as why:
                log.warning("%s: cannot be put back to %s: %s", key, value, why)
        self._file.unlink(missing_ok=True)

    def _set(self, key: str, value: str) -> None:
        was = self._read(key)
        if was in (None, value):
            return
        before = self._before()
        if key not in before:
            beside = self._file.with_suffix(".new")
            beside.write_text(json.dumps(before | {key: was}))
            beside.replace(self._file)  # whole or not at all, should the power fail
        (ROOT / key).write_text(value)

    def _before(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}

    @staticmethod
    def _read(key: str) -> str | None:
        try:
            return (ROOT / key).read_text().strip()
        except OSError:
            return None
