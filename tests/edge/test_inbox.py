"""Commands as they arrive: signed, for us, in time, once; everything else is dropped, bounded, and said."""

import asyncio
import json
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.given import Outcome, Version, begin_trial
from agent.edge import inbox as module
from agent.edge.inbox import JUDGED_A_MINUTE, JUST_STARTED_S, WAITING_AT_MOST
from central.edge.seal import Seal
from tests.edge.conftest import become
from tests.edge.sealed import BY, Agent, command, configuration, enrolled
from wire.command import LIFE_AT_MOST_S, Result, Signed, Status, Why, decode, encode
from wire.topics import Down

CONFIG = """
station: "6408042001143"
uplinks: [{{name: fibre, interface: wan0, kind: fibre}}]
targets: [198.51.100.1]
centre: {{broker: "mqtt://127.0.0.1"}}
state_dir: {state_dir}
"""


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    return enrolled(tmp_path)[0]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(enrolled(tmp_path)[1])


def test_a_command_is_done_once_however_often_it_arrives_and_its_answer_is_repeated(
    agent: Agent, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_AFTER_S", 0.0)
    wanted = command()

    async def test() -> None:
        for _ in range(10):
            agent.hear(seal.sign(wanted))
        await become(lambda: agent.done == [wanted], 30)
        for _ in range(10):
            agent.hear(seal.sign(wanted))
        assert (agent.answers, agent.inbox._waiting) == ([], {})
        result = Result(wanted.station, wanted.id, Status.DONE, "COMMAND_DONE", "so it is")
        agent.settle(result)
        for _ in range(10):
            agent.hear(seal.sign(wanted))
        assert agent.answers == 11 * [result]
        assert len(agent.inbox._judged) == 1

    agent.run(test)
    assert agent.done == [wanted]


def test_answers_are_repeated_no_faster_than_once_a_second(agent: Agent, seal: Seal) -> None:
    result = Result("6408042001143", "x", Status.DONE, "COMMAND_DONE")
    agent.inbox._ledger.begin("x")
    agent.inbox._ledger.end(result)
    for _ in range(1000):
        agent.hear(seal.sign(command(id="x"))) if not agent.answers else agent.inbox._repeat(result)
    assert agent.answers == [result]


def test_what_was_begun_before_a_restart_is_not_done_again(agent: Agent, seal: Seal, tmp_path: Path) -> None:
    wanted = command()

    async def test() -> None:
        agent.hear(seal.sign(wanted))
        await become(lambda: agent.done == [wanted], 30)

    agent.run(test)
    after = Agent(tmp_path / "station", boot="another", uptime_s=5.0)
    after.hear(seal.sign(msgspec.structs.replace(wanted, boot="another", until_s=60.0)))
    assert [(answer.status, answer.code) for answer in after.answers] == [(Status.FAILED, Why.INTERRUPTED)]
    assert after.done == []


def test_an_answer_outlives_a_restart(agent: Agent, seal: Seal, tmp_path: Path) -> None:
    result = Result("6408042001143", "x", Status.DONE, "COMMAND_DONE", "", {"up_mbps": 5.5})
    agent.inbox._ledger.begin("x")
    agent.settle(result)
    after = Agent(tmp_path / "station")
    after.hear(seal.sign(command(id="x")))
    assert after.answers == [result]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"boot": "another"}, "it is for another run of this agent"),
        ({"until_s": 999.9}, "its time is over"),
        ({"until_s": 1000.0}, "its time is over"),
        ({"until_s": 1001.0 + LIFE_AT_MOST_S}, "its time is over"),
        ({"until_s": -1e300}, "its time is over"),
        ({"station": "6408042001144"}, "it is for another station"),
        ({"kind": "config"}, "its topic is not for its kind"),
        ({"id": "config-7"}, "its id is that of a configuration"),
        ({"id": ""}, "an id and a person's name have 1 to 64 letters"),
        ({"id": "x" * 65}, "an id and a person's name have 1 to 64 letters"),
        ({"by": "a\nINFO done"}, "an id and a person's name have 1 to 64 letters"),
    ],
)
def test_what_is_not_for_us_or_not_for_now_is_dropped_without_a_child(
    changed: dict[str, object], why: str, agent: Agent, seal: Seal
) -> None:
    async def test() -> None:
        agent.hear(seal.sign(command(**changed)))
        await become(lambda: agent.ignored == [why])

    agent.run(test)
    assert (agent.done, agent.answers, len(agent.inbox._judged)) == ([], [], 0)


def test_right_after_a_start_a_command_for_the_last_run_is_no_news(agent: Agent, seal: Seal) -> None:
    async def test() -> None:
        agent.uptime_s = JUST_STARTED_S - 1
        agent.hear(seal.sign(command(boot="the last", until_s=200)))
        agent.uptime_s = JUST_STARTED_S + 1
        agent.hear(seal.sign(command(boot="the last", until_s=300)))
        await become(lambda: len(agent.ignored) == 1)

    agent.run(test)
    assert agent.told[0].evidence["times"] == 1


def test_a_retained_command_is_ignored_and_that_is_said(agent: Agent, seal: Seal) -> None:
    async def test() -> None:
        agent.hear(seal.sign(command()), is_retained=True)
        await become(lambda: agent.ignored == ["it was retained, and a command never is"])

    agent.run(test)
    assert agent.done == []


def test_a_command_of_another_centre_is_refused_by_name(agent: Agent, tmp_path: Path) -> None:
    other = Seal(tmp_path / "other")

    async def test() -> None:
        agent.hear(other.sign(command()))
        await become(lambda: bool(agent.answers), 30)

    agent.run(test)
    assert (agent.answers[0].status, agent.answers[0].code) == (Status.REFUSED, Why.BAD_SIGNATURE)
    assert agent.ignored == ["its certificate is not from this device's authority"]
    assert agent.done == []


def test_a_forged_command_does_not_use_up_the_id_of_the_true_one(agent: Agent, seal: Seal) -> None:
    wanted = command()
    true = seal.sign(wanted)
    forged = encode(msgspec.structs.replace(decode(true, Signed), signature="AAAA"))

    async def test() -> None:
        agent.hear(forged)
        await become(lambda: bool(agent.answers), 30)
        agent.hear(true)
        await become(lambda: agent.done == [wanted], 30)

    agent.run(test)


def test_a_device_that_is_not_enrolled_obeys_nobody(agent: Agent, seal: Seal, tmp_path: Path) -> None:
    (tmp_path / "station" / module.AUTHORITY).unlink()

    async def test() -> None:
        agent.hear(seal.sign(command()))
        await become(lambda: bool(agent.answers), 30)

    agent.run(test)
    assert (agent.answers[0].code, agent.done) == (Why.NOT_ENROLLED, [])


def test_a_command_that_waited_too_long_behind_another_has_expired(agent: Agent, seal: Seal) -> None:
    async def test() -> None:
        agent.hear(seal.sign(command()))
        agent.uptime_s += 101
        await become(lambda: bool(agent.answers), 30)

    agent.run(test)
    assert (agent.answers[0].status, agent.answers[0].code) == (Status.EXPIRED, Why.TOO_LATE)
    assert [each.code for each in agent.told] == ["COMMAND_EXPIRED"]
    assert agent.done == []


def test_a_card_that_takes_nothing_lets_nothing_be_done(agent: Agent, seal: Seal, tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "station").rename(tmp_path / "gone")
        (tmp_path / "station").mkdir()
        shutil.copy(tmp_path / "gone" / module.AUTHORITY, tmp_path / "station")
        (tmp_path / "station" / "commands.json.new").mkdir()  # where it would be written
        agent.hear(seal.sign(command()))
        await become(lambda: bool(agent.answers), 30)

    agent.run(test)
    assert (agent.answers[0].code, agent.done) == (Why.CARD_REFUSES, [])


def test_a_flood_of_garbage_starts_no_child_and_is_told_once(agent: Agent) -> None:
    garbage = [b"", b"{", b"\xff" * 100, b'{"type":"signed"}', b"x" * (1 << 17), b"[" * 60_000, b'"\\ud800"']

    async def test() -> None:
        began_at = time.monotonic()
        for n in range(7000):
            agent.hear(garbage[n % len(garbage)])
        assert time.monotonic() - began_at < 20
        await become(lambda: len(agent.ignored) == 1)
        await asyncio.sleep(0)

    agent.run(test)
    assert (len(agent.inbox._judged), len(agent.told), agent.answers) == (0, 1, [])


def test_a_flood_of_good_looking_commands_starts_few_children(agent: Agent, seal: Seal) -> None:
    forged = msgspec.structs.replace(decode(seal.sign(command()), Signed), signature="AAAA")

    def one(n: int) -> bytes:
        return encode(msgspec.structs.replace(forged, body=encode(command(id=f"flood-{n}")).decode()))

    async def test() -> None:
        for n in range(3000):
            agent.hear(one(n))
            if n % 100 == 0:
                await asyncio.sleep(0.01)
        assert len(agent.inbox._waiting) <= WAITING_AT_MOST
        for n in range(200):
            agent.hear(one(-n))
            await become(lambda: len(agent.inbox._waiting) < WAITING_AT_MOST, 30)
        await become(lambda: not agent.inbox._waiting, 30)

    agent.run(test)
    assert len(agent.answers) <= JUDGED_A_MINUTE
    assert agent.done == []


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.text(max_size=20) | st.floats() | st.integers(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["type", "body", "signature", "certificate", "station", "kind", "id", "by", "v"]), x
            )
        ),
    ).map(lambda x: json.dumps(x).encode())
)
def test_nothing_that_arrives_ends_the_couriers_thread(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    agent = Agent(tmp_path_factory.getbasetemp())
    agent.hear(data)
    agent.hear(data, Down.CONFIG, True)
    agent.hear(encode(Signed(data.decode(errors="replace"), "", "")))
    agent.hear(encode(Signed(data.decode(errors="replace"), "", "")), Down.CONFIG)
    agent.card.shutdown()
    assert agent.done == agent.answers == []


# configurations


def test_a_good_configuration_reaches_the_core_though_it_is_retained(agent: Agent, seal: Seal, tmp_path: Path) -> None:
    wanted = configuration(7, CONFIG.format(state_dir=tmp_path / "station"))

    async def test() -> None:
        agent.hear(seal.sign(wanted), Down.CONFIG, True)
        await become(lambda: bool(agent.done), 30)

    agent.run(test)
    assert agent.done == [wanted]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (("kind: fibre", "kind: 5g"), "uplinks[0].kind"),
        (("001143", "001144"), "station = 6408042001144: this is 6408042001143"),
        (("/station", "/elsewhere"), "cannot be changed from afar"),
        (("targets", "target"), "no such key"),
        (('"6408042001143"', "["), "not YAML"),
    ],
)
def test_a_bad_one_is_rejected_with_its_sentence_and_never_tried(
    spoilt: tuple[str, str], said: str, agent: Agent, seal: Seal, tmp_path: Path
) -> None:
    text = CONFIG.format(state_dir=tmp_path / "station").replace(*spoilt)

    async def test() -> None:
        agent.hear(seal.sign(configuration(7, text)), Down.CONFIG)
        await become(lambda: bool(agent.answers), 30)

    agent.run(test)
    assert (agent.answers[0].status, agent.answers[0].code) == (Status.REFUSED, Why.CONFIG_REJECTED)
    assert said in agent.answers[0].text
    assert [(each.code, each.evidence["by"]) for each in agent.told] == [("CONFIG_REJECTED", BY)]
    assert agent.done == []
    again = Agent(tmp_path / "station")
    again.hear(seal.sign(configuration(7, text)), Down.CONFIG)
    assert again.answers == agent.answers


def test_a_hash_that_does_not_fit_is_a_flaw(agent: Agent, seal: Seal) -> None:
    wanted = configuration(7, "x")
    wanted = msgspec.structs.replace(wanted, arguments=wanted.arguments | {"hash": "0" * 64})

    async def test() -> None:
        agent.hear(seal.sign(wanted), Down.CONFIG)
        await become(lambda: bool(agent.answers), 30)

    agent.run(test)
    assert agent.answers[0].text == "its hash does not fit its text"


def test_an_older_version_and_the_one_on_trial_are_left_alone(agent: Agent, seal: Seal) -> None:
    agent.given.change(lambda note: begin_trial(note, Version(7, "h", "b", BY)))
    for number in (6, 7):
        agent.hear(seal.sign(configuration(number, "x")), Down.CONFIG)
    assert (agent.inbox._waiting, agent.answers) == ({}, [])


def test_while_another_command_is_done_a_configuration_waits_for_the_next_repetition(agent: Agent) -> None:
    agent.settle(Result("6408042001143", "config-7", Status.REFUSED, Why.BUSY))
    assert (agent.answers, agent.given.note.outcome) == ([], None)
    agent.settle(Result("6408042001143", "config-7", Status.REFUSED, Why.PHASE_FORBIDS, "phase count"))
    assert agent.given.note.outcome == Outcome(7, Status.REFUSED, Why.PHASE_FORBIDS, "phase count")
    assert len(agent.answers) == 1


@pytest.mark.parametrize("identity", ["config-07", "config-7x", "config-", "config-8", "config-²"])
def test_a_version_has_one_id(identity: str, agent: Agent, seal: Seal) -> None:
    agent.hear(seal.sign(configuration(7, "x", id=identity)), Down.CONFIG)
    assert agent.inbox._waiting == {}
