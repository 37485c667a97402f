"""The same flows and groups said in os-ken's words: its serializer is what the encoder is compared with."""

from __future__ import annotations

from typing import Any

from os_ken.ofproto import ofproto_v1_3, ofproto_v1_3_parser, ofproto_v1_4, ofproto_v1_4_parser
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from controller.dataplane.encoder import XID
from controller.dataplane.fields import FIELDS, Kind
from controller.dataplane.values import (
    Action,
    Bucket,
    Flow,
    Group,
    MatchField,
    Meter,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from controller.dataplane.wire import NXM_NUMBERS

PROTOCOLS = {4: (ofproto_v1_3, ofproto_v1_3_parser), 5: (ofproto_v1_4, ofproto_v1_4_parser)}


def datapath(version: int) -> Any:
    """What os-ken messages need of a datapath."""
    return ProtocolDesc(version=version)


def serialized(message: Any, xid: int = XID) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def value(name: str, number: int) -> Any:
    field = FIELDS[name]
    return number if field.kind is Kind.INTEGER else field.format(number)


def match(fields: tuple[MatchField, ...], parser: Any) -> Any:
    said = {
        field.name: value(field.name, field.value)
        if field.mask is None
        else (value(field.name, field.value), value(field.name, field.mask))
        for field in fields
    }
    return parser.OFPMatch(**said)


def action(said: Action, parser: Any) -> Any:
    if isinstance(said, Output):
        return parser.OFPActionOutput(said.port, said.max_len)
    if isinstance(said, ToGroup):
        return parser.OFPActionGroup(said.group_id)
    if isinstance(said, SetField):
        return parser.OFPActionSetField(**{said.name: value(said.name, said.value)})
    if isinstance(said, PushVlan):
        return parser.OFPActionPushVlan(said.ethertype)
    if isinstance(said, PopVlan):
        return parser.OFPActionPopVlan()
    assert isinstance(said, Move)
    names = [f"{name}_nxm" if name in NXM_NUMBERS else name for name in (said.source, said.target)]
    return parser.NXActionRegMove(src_field=names[0], dst_field=names[1], n_bits=FIELDS[said.source].width)


def instructions(flow: Flow, ofproto: Any, parser: Any) -> list[Any]:
    said = []
    if flow.meter is not None:
        said.append(parser.OFPInstructionMeter(flow.meter))
    if flow.actions:
        apply = [action(each, parser) for each in flow.actions]
        said.append(parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, apply))
    if flow.metadata is not None:
        said.append(parser.OFPInstructionWriteMetadata(*flow.metadata))
    if flow.goto is not None:
        said.append(parser.OFPInstructionGotoTable(flow.goto))
    return said


def flow_mod(flow: Flow, version: int, **changes: Any) -> Any:
    ofproto, parser = PROTOCOLS[version]
    said = {
        "cookie": flow.cookie,
        "cookie_mask": 0,
        "table_id": flow.table,
        "command": ofproto.OFPFC_ADD,
        "idle_timeout": 0,
        "hard_timeout": 0,
        "priority": flow.priority,
        "buffer_id": ofproto.OFP_NO_BUFFER,
        "out_port": ofproto.OFPP_ANY,
        "out_group": ofproto.OFPG_ANY,
        "flags": 0,
        "match": match(flow.match, parser),
        "instructions": instructions(flow, ofproto, parser),
    }
    return parser.OFPFlowMod(datapath(version), **(said | changes))


def bucket(said: Bucket, ofproto: Any, parser: Any) -> Any:
    watch = ofproto.OFPP_ANY if said.watch_port is None else said.watch_port
    actions = [action(each, parser) for each in said.actions]
    return parser.OFPBucket(said.weight, watch, ofproto.OFPG_ANY, actions)


def group_mod(group: Group, command: int, version: int) -> Any:
    ofproto, parser = PROTOCOLS[version]
    buckets = [bucket(each, ofproto, parser) for each in group.buckets]
    return parser.OFPGroupMod(datapath(version), command, int(group.type), group.id, buckets)


def meter_mod(meter: Meter, command: int, version: int) -> Any:
    ofproto, parser = PROTOCOLS[version]
    bands = [] if command == ofproto.OFPMC_DELETE else [parser.OFPMeterBandDrop(meter.rate, meter.burst)]
    flags = 0 if command == ofproto.OFPMC_DELETE else ofproto.OFPMF_PKTPS | ofproto.OFPMF_BURST
    return parser.OFPMeterMod(datapath(version), command, flags, meter.id, bands)
