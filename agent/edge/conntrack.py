"""Makes the kernel forget, or count, the connections that carry a mark: one message, however many they are.

The messages are those of linux/netfilter/nfnetlink_conntrack.h. Needs CAP_NET_ADMIN. Each call has a socket of its own,
so that any thread may call.
"""

from agent.core.station import Family
from agent.edge.rawnetlink import (
    FAMILY,
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_DUMP,
    attribute,
    dump,
    message,
    netfilter,
    opened,
    order,
)

IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1 << 8 | 1, 1 << 8 | 2  # 1: the subsystem ctnetlink
CTA_MARK, CTA_MARK_MASK = 8, 21
HEEDS_FAMILY = 1  # the version of nfgenmsg from which on a deletion is held to one family


def flush(family: Family, mark: int, mask: int) -> None:
    """Deletes all entries of the family with ct mark & mask == mark; done when it returns. None there is no error.

    Raises OSError.
    """
    with opened(NETLINK_NETFILTER) as asking:
        order(asking, _about(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family, mark, mask))


def count(family: Family, mark: int, mask: int) -> int:
    """How many entries `flush` would delete, a few more or less when flows come and go meanwhile. Raises OSError."""
    with opened(NETLINK_NETFILTER) as asking:
        return sum(1 for _ in dump(asking, _about(IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, mark, mask)))


def _about(kind: int, flags: int, family: Family, mark: int, mask: int) -> bytes:
    return message(
        kind,
        flags,
        netfilter(FAMILY[family], HEEDS_FAMILY),
        attribute(CTA_MARK, mark.to_bytes(4)),
        attribute(CTA_MARK_MASK, mask.to_bytes(4)),
    )
