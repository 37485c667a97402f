"""An unknown switch is asked by samples what it can do; the samples are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bench.sim_switch import GENERIC, Make, SimSwitch
from bench.sim_tables import FLOW_MOD, GROUP_MOD
from controller.dataplane.encoder import OF13
from controller.dataplane.fields import FIELDS
from controller.dataplane.values import GroupType
from controller.model import TUNNEL_TYPES
from controller.southbound import bridge, probing
from controller.southbound.exchange import Exchange
from mechanisms.openflow import features, samples

Refusal = tuple[int, int]


class Poor(SimSwitch):
    """A switch that refuses what ``refuses`` has an error for."""

    def __init__(self, refuses: Callable[[bytes], Refusal | None]) -> None:
        super().__init__(1, Make(OF13, *GENERIC, bundles=False))
        self._refuses = refuses

    def _modify(self, message: bytes) -> Sequence[bytes]:
        deletes = message[25] == 4 if message[1] == FLOW_MOD else message[9] == 2
        refusal = None if deletes else self._refuses(message)
        return [self._refusal(message, *refusal)] if refusal else super()._modify(message)


class Line:
    """Delivers answers at once."""

    def __init__(self, switch: SimSwitch) -> None:
        self.xid, self.switch = 7, switch
        self.exchange = Exchange(self, OF13, 1.0, "sw1")

    def send(self, buf: bytes) -> bool:
        while buf:
            length = int.from_bytes(buf[2:4], "big")
            for answer in self.switch.receive(buf[:length]):
                self.exchange.deliver(answer[1], int.from_bytes(answer[4:8], "big"), answer)
            buf = buf[length:]
        return True


def header(name: str) -> bytes:
    """Class, number and mask bit of a field, as it is in a match, without the length."""
    return (FIELDS[name].header() >> 8).to_bytes(3, "big")


def lacks_field(name: str) -> Callable[[bytes], Refusal | None]:
    unmasked = FIELDS[name].header() >> 8
    names = [unmasked.to_bytes(3, "big"), (unmasked | 1).to_bytes(3, "big")]
    return lambda message: (4, 6) if message[1] == FLOW_MOD and any(each in message[48:] for each in names) else None


def lacks_groups(*types: GroupType) -> Callable[[bytes], Refusal | None]:
    return lambda message: (6, 10) if message[1] == GROUP_MOD and message[8:10] == b"\0\0" and message[10] in types \
        else None  # fmt: skip


def found(refuses: Callable[[bytes], Refusal | None]) -> dict[str, str]:
    switch = Poor(refuses)
    lacks = probing.lacking(Line(switch).exchange)
    assert not switch.tables.flows
    assert not switch.tables.groups
    return lacks


def test_a_switch_that_takes_everything_lacks_nothing() -> None:
    assert found(lambda _: None) == {}


@pytest.mark.parametrize(
    ("refuses", "lacks", "words"),
    [
        (lacks_field("arp_spa"), {features.PORT_SECURITY}, "arp_spa"),
        (lacks_field("ipv6_nd_target"), {features.PORT_SECURITY}, "ipv6_nd_target"),
        (lacks_groups(GroupType.FAST_FAILOVER), {features.FAST_FAILOVER}, "fast-failover groups"),
        (lacks_groups(GroupType.FAST_FAILOVER, GroupType.INDIRECT), {features.FAST_FAILOVER, features.INDIRECT},
         "groups (GROUP_MOD_FAILED/BAD_TYPE)"),
        (lambda message: (2, 0) if message[1] == FLOW_MOD and b"\x00\x12\x00\x08" in message[48:] else None, {"vlan"},
         "PopVlan"),
    ],
)  # fmt: skip
def test_what_is_refused_is_lacking(
    refuses: Callable[[bytes], Refusal | None], lacks: set[str], words: str
) -> None:  # fmt: skip
    told = found(refuses)
    assert set(told) == lacks
    assert all(words in text for text in told.values())


def test_without_metadata_there_is_no_network_at_all() -> None:
    lacks = found(lacks_field("metadata"))
    assert lacks[features.BASE].startswith("the switch refuses a flow in table ")
    facts = bridge.node_facts(1, None, bridge.Make(frozenset(), 254, 9, {}, lacks), "off")
    assert set(facts.limits) >= {"local", "flat", "vlan", *TUNNEL_TYPES}
    assert facts.limits["vlan"] == lacks[features.BASE]


@pytest.mark.parametrize("refusal", [(5, 1), (2, 4), (4, 7), (2, 9), (1, 5)])
def test_errors_that_say_nothing_of_abilities_do_not_count(refusal: Refusal) -> None:
    assert found(lambda _: refusal) == {}


def test_samples_are_nothing_real() -> None:
    for sample in samples.samples():
        for flow in sample.flows:
            assert flow.key not in {known.key for known in samples.STATIC.flows}
            values = {match.name: match.value for match in flow.match}
            assert values.get("in_port", samples.OFPORT) > 0x7FFF_0000
            assert "in_port" in values or "metadata" in values
