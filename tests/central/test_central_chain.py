"""Following a chain: whatever is done to it between two seals is found, and the record is named."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from central.core.chain import Finding, Kind, Place, Trail, beginning, follow, midway, reach
from central.core.intake import Line
from central.edge.signatures import Signatures
from tests.central.chained import AUTHORITY, EPOCH, Device, pem
from tests.central.station import SANGATTA
from wire import chain
from wire.messages import BadMessage, Gap, Record, Seal, decode_record, encode

Items = Sequence[Line | Gap]


def lines(device: Device) -> list[Line]:
    return [line(made.seq, made.data) for made in device.made]


def line(seq: int, data: bytes) -> Line:
    try:
        return Line(seq, data, decode_record(data))
    except BadMessage:
        return Line(seq, data, None)


DEVICE = Device().note(5).seal().note(6).seal(behind=2).note(4).seal(with_certificate=False)
WHOLE = lines(DEVICE)
LAST = DEVICE.numbering.last_seq


def walked(
    items: Items,
    trail: Trail | None = None,
    authority: str | None = pem(AUTHORITY),
    known: Sequence[str] = (DEVICE.certificate,),
) -> tuple[Trail, list[Finding]]:
    signatures = Signatures(SANGATTA, authority, known)
    return follow(SANGATTA, EPOCH, trail or beginning(SANGATTA, EPOCH), items, signatures.judge)


def test_a_whole_chain_is_proven_up_to_what_the_last_seal_covers() -> None:
    trail, found = walked(WHOLE)
    assert found == []
    assert (trail.sealed, trail.at.seq) == (LAST - 1, LAST)
    assert trail.at.chain == chain.text(DEVICE.numbering.chain)


@pytest.mark.parametrize("at", range(1, LAST))
def test_followed_in_two_parts_it_is_the_same(at: int) -> None:
    half, found = walked(WHOLE[:at])
    seals = [each.record.body for each in WHOLE[at:] if each.record and isinstance(each.record.body, Seal)]
    begin = reach(half, seals)
    whole, more = walked(WHOLE[begin:], half)
    assert (found, more) == ([], [])
    assert whole == walked(WHOLE)[0]


@given(st.data())
@settings_of_hypothesis(max_examples=300, deadline=None)
def test_every_changed_byte_is_found_and_its_record_named(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, LAST - 2), "record")
    at = data.draw(st.integers(0, len(WHOLE[n].data) - 1), "byte")
    spoilt = bytearray(WHOLE[n].data)
    spoilt[at] ^= data.draw(st.integers(1, 255), "change")
    _, found = walked([*WHOLE[:n], line(n + 1, bytes(spoilt)), *WHOLE[n + 1 :]])
    assert Finding(Kind.ALTERED, n + 1, n + 1) in found
    named = {each.first for each in found if each.kind is Kind.ALTERED}
    assert named <= {n, n + 1}, "its own name, and that of the one which its link spoke of"


def test_several_that_were_altered_between_two_seals_are_each_named() -> None:
    altered = {8, 10, 11}
    items = [
        line(each.seq, each.data.replace(b"dead", b"poor") if each.seq in altered else each.data) for each in WHOLE
    ]
    _, found = walked(items)
    assert {each.first for each in found if each.kind is Kind.ALTERED} == altered
    assert Finding(Kind.CHANGED, 6, 10) in found


def test_whoever_mends_the_links_too_is_found_by_the_seal() -> None:
    forged, link = list(WHOLE), ""
    for n in range(6, LAST):
        record = WHOLE[n].record
        assert record is not None
        data = WHOLE[n].data.replace(b"dead", b"poor") if n == 6 else WHOLE[n].data
        data = data.replace(record.link.encode(), link.encode()) if link else data
        forged[n] = line(n + 1, data)
        link = chain.link(chain.digest(data))
    _, found = walked(forged)
    assert Finding(Kind.CHANGED, 6, 10) in found
    assert not any(each.kind is Kind.ALTERED for each in found)


def test_links_that_were_taken_away_do_not_make_it_an_older_agents_history() -> None:
    bare = [line(each.seq, each.data.replace(b"dead", b"poor").replace(b'"link"', b'"LINK"')) for each in WHOLE[7:9]]
    _, found = walked([*WHOLE[:7], *bare, *WHOLE[9:]])
    assert Finding(Kind.ALTERED, 8, 8) in found and Finding(Kind.ALTERED, 9, 9) in found
    assert not any(each.kind is Kind.UNCHAINED for each in found)


def test_what_is_not_there_is_named_and_the_rest_is_proven_again_behind_the_next_seal() -> None:
    trail, found = walked([*WHOLE[:7], *WHOLE[9:]])
    assert found == [Finding(Kind.MISSING, 8, 9), Finding(Kind.CHANGED, 6, 10)]
    assert trail == walked(WHOLE)[0]


def test_a_gap_that_the_device_tells_of_is_proven_by_the_next_seal() -> None:
    record = WHOLE[7].record
    assert record is not None
    gap = Gap(8, 9, record.link, chain.text(DEVICE.made[8].chain))
    trail, found = walked([*WHOLE[:7], gap, *WHOLE[9:]])
    assert found == [Finding(Kind.DROPPED, 8, 9)]
    assert trail == walked(WHOLE)[0]
    false = Gap(8, 9, record.link, chain.text(DEVICE.made[5].chain))
    assert Finding(Kind.CHANGED, 6, 10) in walked([*WHOLE[:7], false, *WHOLE[9:]])[1]
    altered = line(7, WHOLE[6].data.replace(b"dead", b"poor"))
    assert Finding(Kind.ALTERED, 7, 7) in walked([*WHOLE[:6], altered, gap, *WHOLE[9:]])[1]


@pytest.mark.parametrize("seq", [1, 2, 9])
def test_in_the_middle_of_a_chain_the_first_seal_is_what_one_goes_by(seq: int) -> None:
    trail, found = walked(WHOLE[seq:], midway(seq))
    assert found == []
    assert trail == walked(WHOLE)[0]


def test_a_seal_by_another_key_or_for_another_station_or_by_another_authority_is_false() -> None:
    other = Device().note(3)
    other.key = Device().key
    assert walked(lines(other.seal()))[1] == [Finding(Kind.FALSE_SEAL, 4, 4)]
    stranger = Device(station="6408042001999", epoch=EPOCH).note(3).seal()
    ours = Device().note(3)
    ours.key, ours.certificate, ours.key_name = stranger.key, stranger.certificate, stranger.key_name
    assert walked(lines(ours.seal()))[1] == [Finding(Kind.FALSE_SEAL, 4, 4)]
    self_made = Device().note(3)
    from tests.central.chained import certificate

    self_made.certificate = pem(certificate(SANGATTA, self_made.key, SANGATTA, self_made.key))
    assert walked(lines(self_made.seal()))[1] == [Finding(Kind.FALSE_SEAL, 4, 4)]


@pytest.mark.parametrize("sent", ["no certificate", "no authority"])
def test_what_cannot_be_judged_is_neither_proven_nor_a_finding(sent: str) -> None:
    device = Device().note(3).seal(with_certificate=sent != "no certificate").note(2)
    trail, found = walked(lines(device), authority=None if sent == "no authority" else pem(AUTHORITY), known=())
    assert (found, trail.sealed, trail.anchor.seq) == ([], 0, 3)


def test_a_record_of_another_station_or_epoch_has_no_place_in_the_chain() -> None:
    other = Device(station="6408042001999").note(8)
    assert Finding(Kind.ALTERED, 7, 7) in walked([*WHOLE[:6], line(7, other.made[6].data), *WHOLE[7:]])[1]
    first = Device(epoch="another").note(1)
    assert walked([line(1, first.made[0].data), *WHOLE[1:]])[1][0] == Finding(Kind.ALTERED, 0, 0)


def test_records_of_an_older_agent_are_in_no_chain_and_one_begins_behind_them() -> None:
    device = Device()
    older = [
        encode(Record(EPOCH, seq, record.stamp, record.body)) for seq, record in enumerate(map(read, WHOLE[:3]), 1)
    ]
    device.numbering.last_seq = 3
    device.note(3).seal()
    trail, found = walked([*(line(seq, data) for seq, data in enumerate(older, 1)), *lines(device)])
    assert found == [Finding(Kind.UNCHAINED, 1, 3)]
    assert trail.sealed == 6


def read(of: Line) -> Record:
    assert of.record is not None
    return of.record


def test_a_trail_is_kept_as_json() -> None:
    import msgspec

    trail = walked(WHOLE)[0]
    assert msgspec.json.decode(msgspec.json.encode(trail), type=Trail) == trail
    assert Place() == Place(0, None, None)


@pytest.mark.parametrize("kind", Kind)
def test_each_finding_is_a_sentence_in_both_languages(kind: Kind) -> None:
    finding = Finding(kind, 3, 5)
    assert finding.told_id().startswith("catatan 3-5: ") and finding.told_en().startswith("records 3-5: ")
    assert "{" not in finding.told_id() + finding.told_en()
