"""Asks the kernel by which interface it would send to an address. The messages are those of linux/rtnetlink.h."""

import struct
from ipaddress import ip_address

from agent.core.station import family_of
from agent.edge.rawnetlink import FAMILY, NETLINK_ROUTE, NLM_F_ACK, attribute, attributes, dump, message, opened

RTM_GETROUTE = 26
ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, length of destination and source, then what is asked for
RTA_DST, RTA_OIF = 1, 4


def device_to(target: str) -> int | None:
    """The index of the interface; None when there is no way. Does not wait. Raises OSError when it cannot be asked."""
    address = ip_address(target)
    question = ROUTE.pack(FAMILY[family_of(target)], address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    with opened(NETLINK_ROUTE) as asking:
        try:
            wanted = message(RTM_GETROUTE, NLM_F_ACK, question, attribute(RTA_DST, address.packed))
            for _, body in dump(asking, wanted):
                found = dict(attributes(body[ROUTE.size :])).get(RTA_OIF)
                return None if found is None else struct.unpack("=I", found)[0]
        except OSError:
            return None  # no route to it: an unreachable says so by an error
    return None
