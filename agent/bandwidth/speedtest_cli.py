"""speedtest-cli in a process of its own, bound to one uplink and cut to a budget; prints one line of JSON.

It fetches its configuration from the vendor's site before anything else, has no cap, allocates all uploads at once, and
counts an upload when it hands it to its kernel. So against the centre's endpoint it gets its configuration from here,
and what it says of uploads is only shown beside the server's count.
"""

import argparse
import json
import socket
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")  # it is of 2021
import speedtest  # type: ignore[import-untyped]  # noqa: E402

PIXEL_BYTES = 2  # about, of an image of N x N
SIZES = (350, 500, 750, 1000, 1500, 2000)
UPLOAD_BYTES = (32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576)
EACH_S = 10
SO_BINDTODEVICE = socket.SO_BINDTODEVICE


class Ours(speedtest.Speedtest):  # type: ignore[misc]
    """Asks nobody for its configuration."""

    def __init__(self, size: int, threads: int) -> None:
        self._cut = cut(size, threads)
        super().__init__(timeout=EACH_S)

    def get_config(self) -> dict[str, Any]:
        self.config.update(self._cut)
        self.lat_lon = (0.0, 0.0)
        return dict(self.config)


def cut(size: int, threads: int) -> dict[str, Any]:
    """A configuration that costs at most `size`: half down, half up; the largest pieces that still come twice."""
    image = max((n for n in SIZES if 2 * n * n * PIXEL_BYTES <= size / 2), default=SIZES[0])
    upload = max((each for each in UPLOAD_BYTES if 2 * each <= size / 2), default=UPLOAD_BYTES[0])
    images, uploads = (max(1, int(size / 2 // each)) for each in (image * image * PIXEL_BYTES, upload))
    return {
        "client": {"ip": "", "lat": "0", "lon": "0", "isp": ""},
        "ignore_servers": [],
        "sizes": {"upload": [upload], "download": [image]},
        "counts": {"upload": uploads, "download": images},
        "threads": {"upload": threads, "download": threads},
        "length": {"upload": EACH_S, "download": EACH_S},
        "upload_max": uploads,
    }


def bind(device: str) -> None:
    """Every connection of this process leaves by the device."""

    class Bound(socket.socket):
        def connect(self, address: Any) -> None:
            self.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
            super().connect(address)

    socket.socket = Bound  # type: ignore[misc]  # socket.create_connection makes its sockets by this name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("server", help="its address, as http://host:port/name; or `public`")
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    asked = parser.parse_args()
    bind(asked.device)
    try:
        print(json.dumps(_test(asked.server, asked.bytes, asked.threads)))
    except (speedtest.SpeedtestException, OSError) as why:
        print(f"speedtest-cli: {why or type(why).__name__}", file=sys.stderr)
        return 1
    return 0


def _test(server: str, size: int, threads: int) -> dict[str, float]:
    if server == "public":
        test = speedtest.Speedtest(secure=True)
        test.config.update({key: cut(size, threads)[key] for key in ("sizes", "counts", "threads", "upload_max")})
        test.get_servers()
        test.get_best_server()
    else:
        test = Ours(size, threads)
        test.get_best_server(test.set_mini_server(server))
    test.download()
    test.upload(pre_allocate=False, threads=threads)
    results = test.results
    return {
        "down_mbps": results.download / 1e6,
        "up_said_mbps": results.upload / 1e6,
        "down_bytes": results.bytes_received,
        "up_bytes": results.bytes_sent,
    }


if __name__ == "__main__":
    sys.exit(main())
