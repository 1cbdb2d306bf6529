"""What the centre answers to `GET /siaga/seen`: by which address it saw the question, and whose that address is."""

from ipaddress import ip_address

import msgspec

from wire.messages import UNREADABLE, BadMessage, Public

PATH = "/siaga/seen"
LARGEST_BYTES = 512
LONGEST_NAME = 64
LARGEST_ASN = 2**32 - 1


def encode(public: Public) -> bytes:
    return msgspec.json.encode(public)


def decode(data: bytes) -> Public:
    """Raises BadMessage for whatever a portal, or anybody else in the centre's place, may say."""
    if len(data) > LARGEST_BYTES:
        raise BadMessage(f"more than {LARGEST_BYTES} bytes")
    try:
        public = msgspec.json.decode(data, type=Public)
        address = ip_address(public.address)
    except (*UNREADABLE, ValueError):
        raise BadMessage("not what the centre answers") from None
    operator = public.operator
    if operator is not None and not (0 < len(operator) <= LONGEST_NAME and operator.isprintable()):
        raise BadMessage("an operator without a proper name")
    if public.asn is not None and not 0 < public.asn <= LARGEST_ASN:
        raise BadMessage(f"{public.asn} is no AS number")
    return Public(plain(str(address)), public.asn, operator)


def plain(address: str) -> str:
    """As it is written; of an IPv4 address in IPv6's clothes the IPv4 one. Raises ValueError."""
    found = ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
