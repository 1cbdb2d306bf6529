"""Whether this process may do what the agent does: set routes, and open raw and device-bound sockets."""

from pathlib import Path

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13  # linux/capability.h


def held() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return all(effective >> capability & 1 for capability in (CAP_NET_ADMIN, CAP_NET_RAW))
