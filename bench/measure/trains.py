"""Trains of 60 packets against the kernel's token bucket, from 1 to 20 Mbit/s, with small and large buckets."""

import statistics
import sys

from bench import table
from bench.measure.links import Link, wire
from wire.bandwidth import PACKET_BYTES

MBPS = (1, 2, 5, 10, 20)
BUCKETS_KB = (1.6, 3, 16, 32, 64)
TRAINS = 4  # each way
FRAME_SHARE = (PACKET_BYTES + 28) / (PACKET_BYTES + 42)  # of IP in what the shaper counts
TARGET = 0.02
ONE_TRAIN_EACH_WAY = 200_000  # no room for a longer one


def measure() -> str:
    rows = []
    for mbps in MBPS:
        for bucket_kb in BUCKETS_KB:
            with wire(mbps, round(bucket_kb * 1000)) as link:
                rows.append(_row(mbps, bucket_kb, link))
                print(rows[-1], file=sys.stderr, flush=True)
    head = ["shaper Mbit/s", "bucket kB", "read", "not told", "median error", "worst", "within 2 %"]
    note = (
        "60 packets of 1,228 bytes, each way; the shaper (tbf) counts Ethernet's headers, the truth here is IP's share "
        f"of its rate. `read`: of {2 * TRAINS} trains those that gave a rate; `not told`: said to be at least. Within "
        "2 %: the median, and how many of all trains."
    )
    return f"{table.render(head, rows)}\n\n{note}"


def _row(mbps: float, bucket_kb: float, link: Link) -> list[str]:
    errors, untold = [], 0
    for _ in range(TRAINS):
        found = link.measure("train", ONE_TRAIN_EACH_WAY)
        for way in (found.up, found.down):
            if way.capacity_mbps is None or way.at_least:
                untold += 1
            else:
                errors.append(way.capacity_mbps / (mbps * FRAME_SHARE) - 1)
    if not errors:
        return [f"{mbps:g}", f"{bucket_kb:g}", "0", str(untold), "-", "-", "no"]
    worst = max(errors, key=abs)
    median = statistics.median(abs(error) for error in errors)
    inside = sum(abs(error) <= TARGET for error in errors)
    told = f"{'yes' if median <= TARGET else 'no'}, {inside} of {len(errors) + untold}"
    return [f"{mbps:g}", f"{bucket_kb:g}", str(len(errors)), str(untold), f"{median:.2%}", f"{worst:+.2%}", told]
