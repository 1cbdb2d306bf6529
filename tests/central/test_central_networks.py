"""Whose an address is: the longest prefix wins, in both forms of the table, and a bad line is named."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core.networks import BadLine, Networks, Owner, parse

TABLE = """prefix,asn,operator
# a comment
203.0.113.0/24,64500,Telkom

203.0.113.128/25,AS64501,"Telkomsel, PT"
2001:db8::/32,64502,
"""
ROUTED = "203.0.113.0\t24\t64500\n203.0.113.128\t25\t64501_64502\n2001:db8::\t32\t64503\n"


def test_the_longest_prefix_says_whose_it_is() -> None:
    found = parse(TABLE)
    assert found.find("203.0.113.7") == Owner(64500, "Telkom")
    assert found.find("203.0.113.200") == Owner(64501, "Telkomsel, PT")
    assert found.find("2001:db8:5::1") == Owner(64502, None)
    assert found.find("198.51.100.1") == Owner()
    assert found.find("::203.0.113.7") == Owner()


def test_routeviews_form_is_read_and_a_prefix_of_several_is_nobodys() -> None:
    found = parse(ROUTED)
    assert found.find("203.0.113.7") == Owner(64500)
    assert found.find("203.0.113.200") == Owner()
    assert found.find("2001:db8::1") == Owner(64503)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("203.0.113.1/24,64500,Telkom", "203.0.113.1/24 has host bits set"),
        ("203.0.113.0/33,64500,Telkom", "'203.0.113.0/33' does not appear to be an IPv4 or IPv6 network"),
        ("somewhere,64500,Telkom", "'somewhere' does not appear to be an IPv4 or IPv6 network"),
        ("203.0.113.0/24,sixty,Telkom", "'sixty' is no AS number"),
        ("203.0.113.0/24,0,Telkom", "'0' is no AS number"),
        ("203.0.113.0/24,4294967296,Telkom", "'4294967296' is no AS number"),
        ("203.0.113.0/24,64500", "has 2 values; expected prefix,asn,operator, as in 203.0.113.0/24,64500,Telkom"),
        ("203.0.113.0/24,64500," + "x" * 65, "an operator's name has at most 64 printable characters"),
        ("203.0.113.0\t24", "has 2 values between tabs; expected address, length and AS"),
        ("203.0.113.0\tx\t64500", "'203.0.113.0/x' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_bad_line_is_named(line: str, complaint: str) -> None:
    with pytest.raises(BadLine) as refused:
        parse(f"198.51.100.0/24,1,X\n{line}\n")
    assert str(refused.value) == f"line 2: {complaint}"


prefixes = st.builds(
    lambda address, length: ip_network((address, min(length, address.max_prefixlen)), strict=False),
    st.ip_addresses(v=4, network="10.0.0.0/28") | st.ip_addresses(v=6, network="2001:db8::/124"),
    st.integers(0, 128),
)


@given(st.dictionaries(prefixes, st.integers(1, 9)), st.ip_addresses(v=4, network="10.0.0.0/28") | st.ip_addresses())
def test_it_finds_what_a_look_at_every_prefix_finds(table: dict, address: ip_address) -> None:
    within = [network for network in table if network.version == address.version and address in network]
    longest = max(within, key=lambda network: network.prefixlen, default=None)
    wanted = Owner() if longest is None else Owner(table[longest])
    assert Networks((str(network), Owner(asn)) for network, asn in table.items()).find(str(address)) == wanted


@given(st.text(max_size=200) | st.text(alphabet="0123456789./,:\t\n\"'# aAsS_", max_size=80))
def test_whatever_the_table_holds_it_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse(text)
    except BadLine as why:
        assert str(why).startswith("line ")
        assert len(str(why).splitlines()) == 1
