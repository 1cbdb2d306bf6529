"""What the fuzzer begins from is read, and what is broken is refused as declared; the fuzzing itself is `make fuzz`."""

import random

import pytest

from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_examples_are_read_and_what_is_broken_is_refused_as_declared(name: str) -> None:
    target, chance = TARGETS[name], random.Random(7)
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        for _ in range(50):
            broken = bytearray(seed)
            broken[chance.randrange(len(broken))] = chance.randrange(256)
            try:
                target.read(bytes(broken))
            except target.refuses_with:
                continue


@pytest.mark.parametrize(
    "name", ["centre", "command", "stored", "spool", "agent-config", "central-config", "stamp", "bandwidth"]
)
def test_an_example_is_no_refusal(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].read(seed)
