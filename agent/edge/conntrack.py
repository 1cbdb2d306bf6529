"""Makes the kernel forget the connections that carry a mark: one message, however many they are.

The messages are those of linux/netfilter/nfnetlink_conntrack.h. Needs CAP_NET_ADMIN. Each call has a socket of its own,
so that any thread may call.
"""

import socket
import struct

from agent.core.station import Family
from agent.edge.rawnetlink import (
    FAMILY,
    NETLINK_NETFILTER,
    NLM_F_ACK,
    attribute,
    attributes,
    dump,
    message,
    netfilter,
    opened,
    order,
)

IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_GET_STATS = 1 << 8 | 2, 1 << 8 | 5  # 1: the subsystem ctnetlink
CTA_MARK, CTA_MARK_MASK = 8, 21
CTA_STATS_GLOBAL_ENTRIES = 1
HEEDS_FAMILY = 1  # the version of nfgenmsg from which on a deletion is held to one family


def flush(family: Family, mark: int, mask: int) -> int:
    """Deletes all entries of the family with ct mark & mask == mark; done when it returns. None there is no error.

    Returns how many are fewer then, a few more or less when others come and go meanwhile; to list them beforehand takes
    a hundred times as long. Raises OSError.
    """
    with opened(NETLINK_NETFILTER) as asking:
        before = _total(asking)
        order(
            asking,
            message(
                IPCTNL_MSG_CT_DELETE,
                NLM_F_ACK,
                netfilter(FAMILY[family], HEEDS_FAMILY),
                attribute(CTA_MARK, mark.to_bytes(4)),
                attribute(CTA_MARK_MASK, mask.to_bytes(4)),
            ),
        )
        return max(0, before - _total(asking))


def _total(asking: socket.socket) -> int:
    """Of all families."""
    total = 0
    for _, body in dump(asking, message(IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK, netfilter(socket.AF_UNSPEC))):
        (total,) = struct.unpack("!I", dict(attributes(body[len(netfilter(0)) :]))[CTA_STATS_GLOBAL_ENTRIES])
    return total
