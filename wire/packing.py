"""Payloads made small: deflate with the words of our own messages known beforehand; plain JSON is read as well.

The first byte tells: `{` for plain JSON, 1 for raw deflate (RFC 1951) with the first dictionary. A dictionary is never
changed, since what is packed with one can be read with no other; a better one is the next number.
"""

import zlib

PACKED = b"\x01"
LEVEL = 9  # some hundred bytes a minute: the time does not count
_RAW = -15  # raw deflate with the largest window; header and checksum would be a tenth of a minute's message
DICTIONARY = (
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


def pack(data: bytes) -> bytes:
    """Of a message as JSON; itself where packing makes it no smaller."""
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, zdict=DICTIONARY)
    packed = PACKED + packing.compress(data) + packing.flush()
    return min(packed, data, key=len)


def unpack(payload: bytes, at_most: int) -> bytes:
    """The JSON; raises ValueError. However much it claims to be, no more than so many bytes are made of it."""
    if payload[:1] != PACKED:
        return payload
    unpacking = zlib.decompressobj(_RAW, zdict=DICTIONARY)
    try:
        data = unpacking.decompress(payload[1:], at_most + 1)
    except zlib.error as why:
        raise ValueError(f"cannot be unpacked: {why}") from None
    if len(data) > at_most:
        raise ValueError(f"more than {at_most} bytes are packed in it")
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("it is packed, and not whole")
    return data
