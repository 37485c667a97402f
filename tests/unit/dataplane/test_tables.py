"""Tables are contracts, and flows read as sentences."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.dataplane import fields
from controller.dataplane.builder import FlowBuilder, flow, miss, misses
from controller.dataplane.metadata import BitField, Layout
from controller.dataplane.tables import Pipeline, Table
from controller.dataplane.values import Flow, MatchField, Move, Output, PopVlan, PushVlan, SetField, ToGroup
from controller.errors import CompileError

LAYOUT = Layout(BitField("network", 0, 20), BitField("destination", 20, 36))
PIPELINE = Pipeline(
    LAYOUT,
    Table(
        "classify",
        "port to network",
        match=("in_port", "vlan_vid", "vlan_pcp"),
        sets=("network", "vlan_vid"),
        actions=(PopVlan, PushVlan),
        goes_to=("lookup",),
    ),
    Table(
        "lookup",
        "MAC to destination",
        match=("network", "eth_dst", "eth_type", "ipv4_src", "ip_proto", "udp_src", "arp_spa"),
        sets=("destination", "arp_spa", "arp_tpa", "eth_dst"),
        actions=(Output, Move),
        goes_to=("deliver",),
        miss="deliver",
    ),
    Table("deliver", "destination to port", match=("destination",), actions=(Output, ToGroup)),
    Table("stamp", "no packet comes here"),
)
CLASSIFY, LOOKUP, DELIVER, STAMP = PIPELINE
MAC = "fa:16:3e:00:00:01"


def test_ids_follow_from_the_order() -> None:
    assert [(table.id, table.name) for table in PIPELINE] == [
        (0, "classify"),
        (1, "lookup"),
        (2, "deliver"),
        (3, "stamp"),
    ]
    assert PIPELINE["deliver"] is PIPELINE.by_id(2) is DELIVER
    assert len(PIPELINE) == 4
    assert [table.name for table in PIPELINE.reachable()] == ["classify", "lookup", "deliver"]


def test_a_sentence_is_a_canonical_flow() -> None:
    built = flow(LOOKUP, 7).match(network=5, eth_dst=MAC).set(destination=9).because("port p").goto(DELIVER)
    expected = Flow(
        1,
        7,
        (MatchField("eth_dst", 0xFA163E000001), MatchField("metadata", 5, 0xFFFFF)),
        (),
        (9 << 20, 0xFFFFFFFFF << 20),
        2,
    )
    assert built == expected
    assert built.why == "port p"
    assert built.cookie == expected.cookie
    assert flow(LOOKUP, 7).match(eth_dst=MAC, network=5).set(destination=9).goto(DELIVER) == built


def test_several_metadata_fields_become_one() -> None:
    layout = Layout(BitField("one", 0, 4), BitField("two", 4, 4))
    pipeline = Pipeline(
        layout, Table("t", "", match=("one", "two"), sets=("one", "two"), goes_to=("u",)), Table("u", "")
    )
    built = flow(pipeline["t"]).match(one=1, two=2).set(one=3, two=4).goto(pipeline["u"])
    assert built.match == (MatchField("metadata", 0x21, 0xFF),)
    assert built.metadata == (0x43, 0xFF)


def test_actions_keep_their_order() -> None:
    built = flow(CLASSIFY).match(in_port=1).push_vlan(5).set(network=2).goto(LOOKUP)
    assert built.actions == (PushVlan(), SetField("vlan_vid", 0x1005))
    built = flow(DELIVER).match(destination=1).output(3).group(4).done()
    assert built.actions == (Output(3), ToGroup(4))


def test_masks_and_prefixes() -> None:
    built = flow(LOOKUP).match(
        fields.prefix("ipv4_src", "10.1.0.0/16"), eth_type=fields.ETH_IPV4, eth_dst=(1 << 40, 1 << 40)
    )
    assert built.drop().match == (
        MatchField("eth_dst", 1 << 40, 1 << 40),
        MatchField("eth_type", 0x0800),
        MatchField("ipv4_src", 0x0A010000, 0xFFFF0000),
    )
    assert fields.prefix("ipv6_src", "2001:db8::1") == MatchField("ipv6_src", 0x20010DB8 << 96 | 1)
    assert flow(LOOKUP).match(eth_dst=(5, 2**48 - 1)).drop().match == (MatchField("eth_dst", 5),)


Sentence = Callable[[], FlowBuilder]


@pytest.mark.parametrize(
    ("sentence", "offence"),
    [
        (lambda: flow(CLASSIFY).match(eth_dst=MAC), "table classify matches eth_dst"),
        (lambda: flow(CLASSIFY).match(destination=1), "matches metadata bits"),
        (lambda: flow(CLASSIFY).set(destination=1), "writes metadata bits"),
        (lambda: flow(DELIVER).set(eth_dst=1), "sets eth_dst"),
        (lambda: flow(CLASSIFY).output(1), "uses Output"),
        (lambda: flow(LOOKUP).match(ipv4_src="10.0.0.1"), "ipv4_src without its prerequisite eth_type=0x800"),
        (lambda: flow(LOOKUP).match(eth_type=0x86DD, ipv4_src="10.0.0.1"), "prerequisite"),
        (lambda: flow(LOOKUP).match(eth_type=0x800, ip_proto=6, udp_src=67), "udp_src without its prerequisite"),
        (lambda: flow(LOOKUP).move("arp_spa", "arp_tpa"), "arp_spa without its prerequisite"),
        (lambda: flow(LOOKUP).match(eth_type=0x806).move("arp_spa", "eth_dst"), "differ in width"),
        (lambda: flow(CLASSIFY).match(in_port=1).pop_vlan(), "prerequisite vlan_vid"),
        (lambda: flow(CLASSIFY).match(vlan_vid=0).pop_vlan(), "prerequisite vlan_vid"),
        (lambda: flow(CLASSIFY).match(in_port=1).set(vlan_vid=0x1001), "prerequisite vlan_vid"),
        (lambda: flow(CLASSIFY).match(vlan_pcp=1), "prerequisite vlan_vid"),
        (lambda: flow(CLASSIFY).match(MatchField("in_port", 1), in_port=2), "matches a field twice"),
        (lambda: flow(CLASSIFY).match(in_port=2**32), "does not fit"),
        (lambda: flow(CLASSIFY).match(in_port=(1, 1)), "cannot be masked"),
        (lambda: flow(LOOKUP).match(eth_dst=(3, 1)), "outside its mask"),
        (lambda: flow(LOOKUP).match(network=1).match(network=2), "network is given twice"),
        (lambda: flow(LOOKUP).match(network="one"), "takes a number"),
        (lambda: flow(LOOKUP).match(eth_dst="nonsense"), "eth_dst takes a mac"),
        (lambda: flow(LOOKUP).match(nosuch=1), "nosuch"),
        (lambda: flow(LOOKUP, 65536), "priority 65536"),
        (lambda: flow(LOOKUP).meter(1), "table lookup uses a meter"),
    ],
)
def test_a_broken_contract_is_a_compile_error(sentence: Sentence, offence: str) -> None:
    with pytest.raises(CompileError, match=offence):
        sentence().done()


def test_values_decide_about_prerequisites_every_time() -> None:
    """A shape that was right once is right again only for values that meet the prerequisites."""
    assert flow(LOOKUP).match(eth_type=0x800, ipv4_src="10.0.0.1").drop()
    with pytest.raises(CompileError):
        flow(LOOKUP).match(eth_type=0x806, ipv4_src="10.0.0.1").drop()
    assert flow(CLASSIFY).match(vlan_vid=0x1005).pop_vlan().goto(LOOKUP)
    with pytest.raises(CompileError):
        flow(CLASSIFY).match(vlan_vid=5).pop_vlan().goto(LOOKUP)


def test_next_tables_are_part_of_the_contract() -> None:
    with pytest.raises(CompileError, match="goes to table 2; allowed: lookup"):
        flow(CLASSIFY).goto(DELIVER)
    with pytest.raises(CompileError, match="allowed: none"):
        flow(DELIVER).goto(STAMP)
    with pytest.raises(CompileError, match="actions and drops"):
        flow(DELIVER).output(1).drop()


@pytest.mark.parametrize(
    ("declared", "offence"),
    [
        ((Table("a", "", goes_to=("b",)),), "may not go to 'b'"),
        ((Table("a", ""), Table("b", "", goes_to=("a",))), "later table"),
        ((Table("a", ""), Table("a", "")), "twice"),
        ((Table("a", "", goes_to=("b",), miss="c"), Table("b", "")), "not among goes_to"),
        ((Table("a", "", match=("nosuch",)),), "nosuch"),
        ((Table("a", "", actions=(SetField,)),), "'sets'"),
    ],
)
def test_a_pipeline_that_cannot_work_is_refused(declared: tuple[Table, ...], offence: str) -> None:
    with pytest.raises(CompileError, match=offence):
        Pipeline(LAYOUT, *declared)


def test_misses_are_as_declared() -> None:
    assert misses(PIPELINE) == (Flow(0, 0), Flow(1, 0, goto=2), Flow(2, 0))
    assert miss(PIPELINE, LOOKUP).why == "table-miss of lookup"


def test_field_text() -> None:
    for name, text, value in [
        ("eth_dst", MAC, 0xFA163E000001),
        ("ipv4_src", "10.0.0.1", 0x0A000001),
        ("ipv6_src", "::1", 1),
        ("eth_type", "0x806", 0x806),
    ]:
        field = fields.named(name)
        assert field.parse(text) == value
        assert field.format(value) == text
    assert fields.link_local(fields.mac("fa:16:3e:00:00:01")) == fields.ipv6("fe80::f816:3eff:fe00:1")
    for bad in ("10.0.0.1/8", "::1", "0.0.0.0/0", "x"):
        with pytest.raises(CompileError):
            fields.prefix("ipv4_src", bad)
