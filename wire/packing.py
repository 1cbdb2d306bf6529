"""Payloads made small: deflate with the words of our own messages known beforehand; plain JSON is read as well.

The first byte tells: `{` for plain JSON, 1 or 2 for raw deflate (RFC 1951) with the first or the second dictionary; the
second is ours. A dictionary is never changed, since what is packed with one can be read with no other; a better one is
the next number.
"""

import zlib

LEVEL = 9  # some hundred bytes a minute: the time does not count
_RAW = -15  # raw deflate with the largest window; header and checksum would be a tenth of a minute's message
FIRST = (
    b'"late":,"not_sent":,"duplicates":,"refused":,"skipped":,"after_idle_ms":,"TRAFFIC_MOVED","HANDED_OVER",'
    b'"UPLINK_DEAD","UPLINK_POOR","UPLINK_UP","before":"up","after":"dead","evidence":{"cause":"silence","silence_s":,'
    b'"limit_s":,"unanswered":,"first_echo":,"last_echo":,"per_month":,"families":"ipv4 ipv6","reason":"","took_ms":,'
    b'"flows":,"sockets":,"signal":{"technology":"lte","rsrp_dbm":-,"rsrq_db":-,"snr_db":,"rssi_dbm":-,"operator":"'
    b'Telkomsel","operator_code":"51010","cell_id":"","registration":"home"},"forecast":{"photos_s":,"message_s":0.,'
    b'"up_mbps":,"measured_s":},{"type":"state","station":"","session":"","online":true,"agent":"0.1.0","stamp":{"boot'
    b'":"","uptime_s":,"wall_s":17,"synced":true},"active":{"ipv4":"fibre","ipv6":null},"uplinks":[{"name":"fibre",'
    b'"interface":"eth0","kind":"fibre","health":"up","since_s":,"carries_traffic":true,"operator":"Telkom","rtt_ms":,'
    b'"loss":0.0,"signal":null,"forecast":null},{"name":"lte","interface":"wwan0","kind":"lte","health":"up","since_s":'
    b',"carries_traffic":false,"operator":null,"rtt_ms":,"loss":0.0,"signal":null,"forecast":null}],"v":1}'
    b'{"type":"delivery","station":"","oldest":,"records":[{"epoch":"","seq":,"stamp":{"boot":"","uptime_s":,"wall_s":'
    b'17,"synced":true},"body":{"type":"fact","code":"","uplink":"","before":null,"after":null,"evidence":{}},"link":"'
    b'"},{"epoch":"","seq":,"stamp":{"boot":"","uptime_s":,"wall_s":17,"synced":true},"body":{"type":"sum","span_s":60'
    b'.0,"active":{"ipv4":"fibre","ipv6":"fibre"},"uplinks":[{"name":"fibre","health":"up","sent":,"answered":,"lost":'
    b'0,"late":0,"not_sent":0,"rtt_min_ms":,"rtt_p50_ms":,"rtt_p95_ms":,"rtt_p99_ms":,"rtt_max_ms":,"pdv_p95_ms":,'
    b'"ipdv_mean_ms":,"loss_low":0.0,"loss_high":0.0,"loss_runs":1,"longest_run_s":,"each_way":{"up_of":,"down_of":,'
    b'"up_added_ms":,"down_added_ms":}},{"name":"lte","health":"up","sent":,"answered":,"lost":0,"late":0,"not_sent":0,'
    b'"rtt_min_ms":,"rtt_p50_ms":,"rtt_p95_ms":,"rtt_p99_ms":,"rtt_max_ms":,"after_idle_ms":}],"own_delay_ms":},"link'
    b'":""}],"v":1}'
)

SECOND = (
    # Whole messages, so that what lies between two figures is one match: a summary is a fifth smaller by it.
    FIRST
    + b'{"type":"state","station":"","session":"","online":true,"agent":"0.1.0","stamp":{"boot":"","uptime_s":,"wall'
    b'_s":1,"synced":true},"active":{"ipv4":"fibre","ipv6":null},"uplinks":[{"name":"fibre","interface":"eth0","ki'
    b'nd":"fibre","health":"up","since_s":,"carries_traffic":true,"operator":null,"rtt_ms":1,"loss":0.0,"signal":n'
    b'ull,"forecast":{"photos_s":,"message_s":0.,"up_mbps":,"measured_s":},"public":[{"address":"","asn":,"operato'
    b'r":""}]},{"name":"lte","interface":"wwan0","kind":"lte","health":"up","since_s":,"carries_traffic":false,"op'
    b'erator":null,"rtt_ms":,"loss":0.0,"signal":null,"forecast":null,"public":[]}],"v":1}{"type":"stored","epoch"'
    b':"","seq":1,"v":1}{"type":"delivery","station":"","oldest":1,"records":[{"epoch":"","seq":1,"stamp":{"boot":'
    b'"","uptime_s":1,"wall_s":1,"synced":true},"body":{"type":"sum","span_s":60.0,"active":{"ipv4":"fibre","ipv6"'
    b':null},"uplinks":[{"name":"fibre","health":"up","sent":240,"answered":240,"lost":0,"late":0,"not_sent":0,"rt'
    b't_min_ms":1,"rtt_p50_ms":1,"rtt_p95_ms":1,"rtt_p99_ms":1,"rtt_max_ms":1,"pdv_p95_ms":1,"ipdv_mean_ms":1,"los'
    b's_low":0.0,"loss_high":0.01575,"longest_run_s":0.0,"each_way":{"up_of":1,"down_of":1,"up_added_ms":1,"down_a'
    b'dded_ms":1}},{"name":"lte","health":"up","sent":6,"answered":5,"lost":1,"late":0,"not_sent":0,"rtt_min_ms":1'
    b',"rtt_p50_ms":1,"rtt_p95_ms":1,"rtt_p99_ms":1,"rtt_max_ms":1,"after_idle_ms":1,"pdv_p95_ms":1,"ipdv_mean_ms"'
    b':1,"loss_low":0.03005,"loss_high":0.56351,"loss_runs":1,"longest_run_s":0.1,"each_way":{"up_of":1,"down_of":'
    b'1,"up_added_ms":1,"down_added_ms":1}}],"own_delay_ms":0.0},"link":""},{"epoch":"","seq":1,"stamp":{"boot":""'
    b',"uptime_s":1,"wall_s":1,"synced":true},"body":{"type":"seal","upto":1,"chain":"","signature":"ME","key":""}'
    b',"link":""}],"gaps":[],"v":1}{"type":"delivery","station":"","oldest":1,"records":[{"epoch":"","seq":1,"stam'
    b'p":{"boot":"","uptime_s":1,"wall_s":1,"synced":true},"body":{"type":"sum","span_s":60.0,"active":{"ipv4":"fi'
    b'bre","ipv6":null},"uplinks":[{"name":"fibre","health":"up","sent":240,"answered":240,"lost":0,"late":0,"not_'
    b'sent":0,"rtt_min_ms":1,"rtt_p50_ms":1,"rtt_p95_ms":1,"rtt_p99_ms":1,"rtt_max_ms":1,"pdv_p95_ms":1,"ipdv_mean'
    b'_ms":1,"loss_low":0.0,"loss_high":0.01575,"longest_run_s":0.0,"each_way":{"up_of":1,"down_of":1,"up_added_ms'
    b'":1,"down_added_ms":1}},{"name":"lte","health":"up","sent":5,"answered":5,"lost":0,"late":0,"not_sent":0,"af'
    b'ter_idle_ms":1,"loss_low":0.0,"loss_high":0.43449,"longest_run_s":0.0,"each_way":{"up_of":1,"down_of":1,"up_'
    b'added_ms":1,"down_added_ms":1}}],"own_delay_ms":0.0},"link":""}],"gaps":[],"v":1}'
)
DICTIONARIES = {b"\x01": FIRST, b"\x02": SECOND}
PACKED = b"\x02"


def pack(data: bytes) -> bytes:
    """Of a message as JSON; itself where packing makes it no smaller."""
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, zdict=DICTIONARIES[PACKED])
    packed = PACKED + packing.compress(data) + packing.flush()
    return min(packed, data, key=len)


def unpack(payload: bytes, at_most: int) -> bytes:
    """The JSON; raises ValueError. However much it claims to be, no more than so many bytes are made of it."""
    dictionary = DICTIONARIES.get(payload[:1])
    if dictionary is None:
        return payload
    unpacking = zlib.decompressobj(_RAW, zdict=dictionary)
    try:
        data = unpacking.decompress(payload[1:], at_most + 1)
    except zlib.error as why:
        raise ValueError(f"cannot be unpacked: {why}") from None
    if len(data) > at_most:
        raise ValueError(f"more than {at_most} bytes are packed in it")
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("it is packed, and not whole")
    return data
