"""The centre's bandwidth server alone, in a process of its own: python -m bench.measure.server PORT."""

import sys
import threading

from central.core.turns import Limits
from central.edge.broker import listener
from central.edge.measuring import Measuring
from central.edge.reflector import listener as datagrams


def main() -> int:
    port = int(sys.argv[1])
    part = Measuring(datagrams("0.0.0.0", port), listener("0.0.0.0", port), Limits(hour_bytes=10**12))
    part.start()
    print("ready", flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
