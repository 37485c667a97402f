"""Sends what the encoder writes to a real Open vSwitch and reads it back; run in a sandbox by test_encoder_on_ovs."""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller.dataplane import encoder, fields, messages
from controller.dataplane.encoder import BundleType
from controller.dataplane.values import (
    Action,
    Bucket,
    Flow,
    Fragment,
    Group,
    GroupType,
    MatchField,
    Meter,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from controller.southbound import wire
from tests.ovs.switchbed import SwitchBed

IPV4, ARP, IPV6 = (MatchField("eth_type", number) for number in (0x0800, 0x0806, 0x86DD))
TAGGED = MatchField("vlan_vid", 0x1000, 0x1000)
SOLICIT = (IPV6, MatchField("ip_proto", 58), MatchField("icmpv6_type", 135))
ADVERT = (IPV6, MatchField("ip_proto", 58), MatchField("icmpv6_type", 136))
TUNNEL = (SetField("tunnel_id", 77), SetField("tun_ipv4_dst", fields.ipv4("192.0.2.9")), Output(9))
TUNNEL6 = (SetField("tunnel_id", 77), SetField("tun_ipv6_dst", fields.ipv6("2001:db8::9")), Output(9))

GROUPS = (
    Group(0x20000001, GroupType.INDIRECT, (Bucket(TUNNEL),)),
    Group(
        0x10000001,
        GroupType.ALL,
        (
            Bucket((Output(1),)),
            Bucket((PushVlan(), SetField("vlan_vid", 0x1064), Output(2))),
            Bucket(TUNNEL),
            Bucket(TUNNEL6),
            Bucket((ToGroup(0x20000001),)),
        ),
    ),
    Group(
        0x30000001, GroupType.FAST_FAILOVER, (Bucket((Output(1),), watch_port=1), Bucket((Output(2),), watch_port=2))
    ),
)

METERS = (Meter(241, 100, 100), Meter(242, 500, 1000))

REQUIRED = {
    "vlan_pcp": (TAGGED,),
    "ip_proto": (IPV4,),
    "tcp": (IPV4, MatchField("ip_proto", 6)),
    "udp": (IPV4, MatchField("ip_proto", 17)),
    "icmpv4": (IPV4, MatchField("ip_proto", 1)),
    "icmpv6": SOLICIT[:2],
    "ipv6_nd_tll": ADVERT,
    "ipv6_nd": SOLICIT,
    "ipv4": (IPV4,),
    "ipv6": (IPV6,),
    "arp": (ARP,),
}


def context(field: fields.Field) -> tuple[MatchField, ...]:
    """The matches that a field needs beside it."""
    found = next((matches for prefix, matches in REQUIRED.items() if field.name.startswith(prefix)), ())
    return tuple(match for match in found if match.name != field.name)


def matching_flows() -> Iterator[Flow]:
    """A flow for every field, exact and masked."""
    for number, field in enumerate(fields.FIELDS.values()):
        value = {"eth_type": 0x0806, "vlan_vid": 0x1064, "in_port": 1, "ip_proto": 17, "icmpv6_type": 135}
        exact = MatchField(field.name, value.get(field.name, 5 & field.full))
        kinds = [exact]
        if field.maskable and field.name != "vlan_vid":
            mask = field.full << (field.width // 2) & field.full
            kinds.append(MatchField(field.name, mask & (field.full // 3), mask))
        for kind in kinds:
            match = tuple(sorted((*context(field), kind), key=lambda each: each.name))
            yield Flow(1, 100 + number, match, (Output(2),))


def setting_flows() -> Iterator[Flow]:
    """A flow for every field that can be set, and for every other action."""
    for number, field in enumerate(fields.FIELDS.values()):
        if field.settable:
            before: tuple[Action, ...] = (PushVlan(),) if field.name.startswith("vlan") else ()
            value = 0x1064 if field.name == "vlan_vid" else 3
            match = tuple(sorted(context(field), key=lambda each: each.name))
            if field.name == "vlan_pcp":
                match = ()
            yield Flow(2, 100 + number, match, (*before, SetField(field.name, value), Output(2)))
    yield Flow(2, 1, (TAGGED,), (PopVlan(), Output(1)), (0x1200, 0xFF00), 3)
    yield Flow(2, 2, (ARP,), (Move("arp_sha", "arp_tha"), Move("arp_spa", "arp_tpa"), Move("eth_src", "eth_dst")))
    yield Flow(2, 3, (), (Output(fields.IN_PORT), Output(fields.CONTROLLER, 128)))
    yield Flow(2, 4, (), (), (5, 2**64 - 1), 9)
    for number, group in enumerate(GROUPS):
        yield Flow(3, number, (), (ToGroup(group.id),))
    yield Flow(2, 5, (), (Output(fields.CONTROLLER, 128),), meter=METERS[0].id)
    yield Flow(2, 6, (), (), (5, 7), 9, meter=METERS[1].id)
    yield Flow(4, 0)


FRAGMENT = Fragment("everything", (*matching_flows(), *setting_flows()), GROUPS)


class Session:
    """A plain OpenFlow client of the bridge's management socket."""

    def __init__(self, path: Path, version: int) -> None:
        self.version = version
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._buffer = b""
        self.send(struct.pack("!BBHI", version, 0, 8, 1))
        hello = self.receive()
        assert hello[1] == 0, hello

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        while len(self._buffer) < 8 or len(self._buffer) < struct.unpack_from("!H", self._buffer, 2)[0]:
            data = self._socket.recv(65536)
            assert data, "the switch hung up"
            self._buffer += data
        (length,) = struct.unpack_from("!H", self._buffer, 2)
        message, self._buffer = self._buffer[:length], self._buffer[length:]
        return message

    def ask(self, data: bytes) -> list[bytes]:
        """Send, and collect what comes before the reply to a barrier."""
        self.send(data + encoder.barrier_request(self.version, xid=99))
        answers = []
        while (message := self.receive())[1] != 21:
            answers.append(message)
        return answers

    def errors(self, data: bytes) -> list[messages.ErrorMessage]:
        return [messages.parse_error(answer) for answer in self.ask(data) if answer[1] == messages.ERROR]

    def bundle(self, number: int, mods: list[bytes]) -> tuple[list[messages.ErrorMessage], list[int]]:
        """One atomic, ordered bundle: the errors, and the kinds of the bundle replies."""
        answers = self.ask(
            encoder.bundle_control(number, BundleType.OPEN_REQUEST, self.version)
            + encoder.bundle_adds(number, mods, self.version)
            + encoder.bundle_control(number, BundleType.COMMIT_REQUEST, self.version)
        )
        errors = [messages.parse_error(answer) for answer in answers if answer[1] == messages.ERROR]
        replies = [messages.parse_bundle_reply(answer) for answer in answers if answer[1] != messages.ERROR]
        return errors, [reply.kind for reply in replies if reply is not None]

    def flows(self) -> list[encoder.InstalledFlow]:
        parts = self.ask(wire.multipart_request(self.version, 1, wire.MP_FLOW, wire.flow_selection()))
        assert [wire.has_more(part) for part in parts] == [True] * (len(parts) - 1) + [False]
        return [entry.flow for entry in wire.flow_entries(parts)]

    def meters(self) -> dict[int, bytes]:
        (part,) = self.ask(messages.meter_config_request(self.version))
        return messages.parse_meter_config(part)

    def groups(self) -> dict[int, messages.InstalledGroup]:
        (part,) = self.ask(messages.group_desc_request(self.version))
        return messages.parse_group_desc(part).groups


def outcome(session: Session) -> dict[str, Any]:
    """Everything once, as facts for the test to judge."""
    version, modify = session.version, encoder.GroupCommand.MODIFY
    wanted = {flow.cookie: flow for flow in FRAGMENT.flows}
    encoded = encoder.encode_fragment(FRAGMENT, version)
    made = b"".join(encoder.encode_meter(meter, encoder.GroupCommand.ADD, version) for meter in METERS)
    meter_errors = [str(error) for error in session.errors(made)]
    plain = [str(error) for error in session.errors(b"".join(encoded.groups + encoded.flows))]
    installed, groups = session.flows(), session.groups()
    facts: dict[str, Any] = {
        "errors": meter_errors + plain,
        "meters": session.meters() == {meter.id: meter.encoded() for meter in METERS},
        "meter in a bundle": session.bundle(9, [encoder.encode_meter(METERS[0], modify, version)])[0][0].text,
        "errors of a changed meter": len(session.errors(encoder.encode_meter(METERS[0], modify, version))),
        "flows missing": [repr(wanted[c]) for c in wanted.keys() - {flow.cookie for flow in installed}],
        "flows extra": len({flow.cookie for flow in installed} - wanted.keys()),
        "matches spelled otherwise": [
            repr(wanted[flow.cookie].match)
            for flow in installed
            if encoder.encode_match(wanted[flow.cookie].match) != flow.match
        ],
        "groups spelled otherwise": [
            repr(group)
            for group in FRAGMENT.groups
            if groups.get(group.id) != (group.type, encoder.encode_buckets(group))
        ],
    }
    facts["errors of deletes"] = len(
        session.errors(b"".join(encoder.encode_flow_delete(flow, version) for flow in installed))
    )
    facts["flows after deletes"] = len(session.flows())
    session.errors(b"".join(encoder.encode_group_delete(group.id, version) for group in GROUPS))
    facts["groups after deletes"] = len(session.groups())
    facts |= in_bundles(session, encoded)
    return facts


def in_bundles(session: Session, encoded: encoder.EncodedFragment) -> dict[str, Any]:
    """A bundle, a bundle that fails, overwriting before deleting, and the removal of all that is ours."""
    version = session.version
    errors, replies = session.bundle(1, [*encoded.groups, *encoded.flows])
    facts: dict[str, Any] = {
        "bundle errors": [str(error) for error in errors],
        "bundle committed": BundleType.COMMIT_REPLY in replies,
        "flows after bundle": len(session.flows()) == len(FRAGMENT.flows),
    }
    bad = Flow(5, 5, (), (ToGroup(12345),))
    (first, *_), replies = session.bundle(2, [encoder.encode_flow_add(bad, version)])
    facts["refused flow in bundle"] = (first.cookie == bad.cookie, first.text, BundleType.COMMIT_REPLY in replies)
    (error,) = session.errors(encoder.encode_flow_add(bad, version))
    facts["refused flow"] = (error.cookie == bad.cookie, error.text)
    (error,) = session.errors(encoder.encode_group(GROUPS[0], encoder.GroupCommand.ADD, version))
    facts["refused group"] = (error.group_id == GROUPS[0].id, error.text)
    old, new = Flow(6, 1, (IPV4,), (Output(1),)), Flow(6, 1, (IPV4,), (Output(2),))
    session.errors(encoder.encode_flow_add(old, version))
    session.bundle(3, [encoder.encode_flow_add(new, version), encoder.encode_flow_delete(old, version)])
    facts["overwritten flow stays"] = [flow.cookie == new.cookie for flow in session.flows() if flow.table == 6]
    session.errors(encoder.encode_flow_add(Flow(7, 0), version, cookie=0x1234))
    session.errors(encoder.encode_delete_ours(version))
    facts["left after deleting ours"] = [hex(flow.cookie) for flow in session.flows()]
    session.errors(encoder.encode_group_delete(encoder.ALL_GROUPS, version))
    facts["groups in the end"] = len(session.groups())
    session.errors(encoder.encode_flow_add(Flow(8, 0, meter=METERS[0].id), version))
    (unknown,) = session.errors(encoder.encode_flow_add(Flow(8, 1, meter=99), version))
    facts["unknown meter"] = (unknown.cookie == Flow(8, 1, meter=99).cookie, unknown.text)
    session.errors(b"".join(encoder.encode_meter_delete(meter.id, version) for meter in METERS))
    facts["meters and their flows in the end"] = (
        len(session.meters()),
        sum(flow.table == 8 for flow in session.flows()),
    )
    return facts


def main() -> None:
    """Print the facts for both versions as one JSON object."""
    directory = Path("/run/isthmus/encoder")
    bed = SwitchBed(directory)
    bed.start()
    facts = {}
    for version in encoder.VERSIONS:
        bridge = f"br{version}"
        bed.add_bridge(bridge, version)
        bed.vsctl(
            *("set-fail-mode", bridge, "secure", "--"),
            *("add-port", bridge, f"gre{version}", "--", "set", "interface", f"gre{version}", "type=gre"),
            *("options:remote_ip=flow", "options:key=flow", "ofport_request=9"),
        )
        facts[version] = outcome(Session(management_socket(directory, bridge), version))
        bed.vsctl("del-br", bridge)
    print(json.dumps(facts))


def management_socket(directory: Path, bridge: str) -> Path:
    """Where a bridge listens, once it is there."""
    path = directory / f"{bridge}.mgmt"
    deadline = time.monotonic() + 5
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path


if __name__ == "__main__":
    sys.exit(main())
