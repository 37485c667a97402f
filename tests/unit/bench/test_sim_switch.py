"""The simulated switch does what real ones do: our encoder's messages in, our parsers' messages out."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest

from bench.sim_hosts import Figures, Host
from bench.sim_switch import GENERIC, Dropped, Faults, Make, SimSwitch
from bench.sim_switches import Connection, Loop
from controller.dataplane import messages
from controller.dataplane.encoder import (
    BundleType,
    GroupCommand,
    barrier_request,
    bundle_add,
    bundle_control,
    encode_buckets,
    encode_flow_add,
    encode_flow_delete,
    encode_group,
    encode_group_delete,
    encode_meter,
    encode_meter_delete,
)
from controller.dataplane.values import (
    OWNER_MASK,
    OWNER_SHIFT,
    OWNER_TAG,
    Bucket,
    Flow,
    Group,
    GroupType,
    MatchField,
    Meter,
    Output,
    ToGroup,
)
from controller.southbound import wire
from legacy_agent.host_plan import HostReport

GROUP = Group(0x10000005, GroupType.ALL, (Bucket((Output(1),)), Bucket((Output(2),))))
FLOWS = [Flow(4, 100, (MatchField("eth_dst", number),), (Output(number),), goto=None) for number in range(1, 6)]
THROUGH_GROUP = Flow(5, 100, (), (ToGroup(GROUP.id),))


def switch(version: int = 5, **changes: object) -> SimSwitch:
    return SimSwitch(7, Make(version, **{"ports": {1: "uplink", 2: "p2"}, **changes}))  # type: ignore[arg-type]


def dumped(it: SimSwitch, table: int = 255, cookie: int = 0, mask: int = 0) -> list[wire.FlowEntry]:
    request = wire.multipart_request(it.make.version, 9, wire.MP_FLOW, wire.flow_selection(table, cookie, mask))
    return wire.flow_entries(it.receive(request))


def errors(answers: object) -> list[messages.ErrorMessage]:
    return [messages.parse_error(item) for item in answers if item[1] == wire.ERROR]  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", [4, 5])
def test_features_description_ports_and_echo(version: int) -> None:
    it = switch(version)
    assert it.greet()[:2] == bytes([version, 0])
    (features,) = it.receive(wire.features_request(version, 3))
    assert features[20] == 254
    assert int.from_bytes(features[8:16], "big") == 7
    assert wire.description(it.receive(wire.multipart_request(version, 4, wire.MP_DESC))[0]).is_open_vswitch
    (ports,) = it.receive(wire.multipart_request(version, 5, 13))
    assert [name in ports for name in (b"uplink", b"p2", b"p3")] == [True, True, False]
    assert it.receive(bytes([version, 2, 0, 10, 0, 0, 0, 1]) + b"hi")[0][8:] == b"hi"
    generic = SimSwitch(1, Make(version, *GENERIC))
    assert not wire.description(generic.receive(wire.multipart_request(version, 4, 0))[0]).is_open_vswitch


@pytest.mark.parametrize("version", [4, 5])
def test_flows_are_kept_by_key_and_selected_by_cookie_and_table(version: int) -> None:
    it = switch(version)
    for flow in FLOWS:
        assert not it.receive(encode_flow_add(flow, version))
    it.receive(encode_flow_add(FLOWS[0], version, cookie=99))
    assert {entry.flow.cookie for entry in dumped(it)} == {99, *(flow.cookie for flow in FLOWS[1:])}
    assert len(dumped(it, cookie=OWNER_TAG << OWNER_SHIFT, mask=OWNER_MASK)) == 4
    assert dumped(it, table=3) == []
    it.receive(encode_flow_delete(FLOWS[1], version))
    it.receive(encode_flow_delete(FLOWS[0], version))  # its cookie is not there any more
    assert len(dumped(it)) == 4


@pytest.mark.parametrize("version", [4, 5])
def test_meters_are_kept_and_no_part_of_bundles(version: int) -> None:
    it, meter = switch(version), Meter(9, 10, 10)
    through = Flow(5, 100, meter=meter.id)
    assert errors(it.receive(encode_flow_add(through, version)))[0].cookie == through.cookie
    assert not it.receive(encode_meter(meter, GroupCommand.ADD, version))
    assert errors(it.receive(encode_meter(meter, GroupCommand.ADD, version)))[0].meter_id == meter.id
    assert not it.receive(encode_flow_add(through, version))
    (told,) = it.receive(messages.meter_config_request(version))
    assert messages.parse_meter_config(told) == {meter.id: meter.encoded()}
    it.receive(bundle_control(1, BundleType.OPEN_REQUEST, version))
    (refused,) = errors(it.receive(bundle_add(1, encode_meter_delete(meter.id, version), version)))
    assert refused.text == "BUNDLE_FAILED/MSG_UNSUP"
    it.receive(encode_meter_delete(meter.id, version))
    assert dumped(it) == []
    assert errors(switch(version, meters=0).receive(encode_meter(meter, GroupCommand.ADD, version)))


def test_groups_and_what_hangs_on_them() -> None:
    it = switch()
    assert errors(it.receive(encode_flow_add(THROUGH_GROUP, 5)))[0].cookie == THROUGH_GROUP.cookie
    it.receive(encode_group(GROUP, GroupCommand.ADD, 5))
    assert errors(it.receive(encode_group(GROUP, GroupCommand.ADD, 5)))[0].group_id == GROUP.id
    it.receive(encode_flow_add(THROUGH_GROUP, 5))
    (told,) = it.receive(messages.group_desc_request(5))
    assert messages.parse_group_desc(told).groups[GROUP.id] == (GROUP.type, encode_buckets(GROUP))
    it.receive(encode_group_delete(GROUP.id, 5))
    assert dumped(it) == []


@pytest.mark.parametrize("version", [4, 5])
def test_bundles_are_all_or_nothing(version: int) -> None:
    it = switch(version)

    def control(kind: BundleType) -> list[bytes]:
        return list(it.receive(bundle_control(3, kind, version)))

    control(BundleType.OPEN_REQUEST)
    for flow in (FLOWS[0], THROUGH_GROUP):
        it.receive(bundle_add(3, encode_flow_add(flow, version), version))
    assert dumped(it) == []
    control(BundleType.CLOSE_REQUEST)
    refusals = errors(control(BundleType.COMMIT_REQUEST))
    assert refusals[0].cookie == THROUGH_GROUP.cookie
    assert dumped(it) == []
    control(BundleType.OPEN_REQUEST)
    it.receive(bundle_add(3, encode_flow_add(FLOWS[0], version), version))
    reply = messages.parse_bundle_reply(control(BundleType.COMMIT_REQUEST)[0])
    assert reply is not None
    assert reply.kind == BundleType.COMMIT_REPLY
    assert len(dumped(it)) == 1
    assert errors(control(BundleType.DISCARD_REQUEST))


def test_a_switch_without_bundles_says_so() -> None:
    assert errors(switch(bundles=False).receive(bundle_control(1, BundleType.OPEN_REQUEST, 5)))


def test_faults() -> None:
    it = switch()
    it.faults = Faults(refuse_flow=2, garbage_after_flows=3, drop_after_flows=4)
    add = [encode_flow_add(flow, 5) for flow in FLOWS]
    assert not it.receive(add[0])
    assert errors(it.receive(add[1]))[0].cookie == FLOWS[1].cookie
    assert it.receive(add[2])[0][0] == 255
    with pytest.raises(Dropped):
        it.receive(add[3])
    it.faults = Faults(mute=True)
    assert not it.receive(barrier_request(5, 1))


@pytest.mark.parametrize("version", [4, 5])
def test_roles(version: int) -> None:
    it = switch(version)

    def ask(role: int, generation: int) -> bytes:
        return it.receive(struct.pack("!BBHIIIQ", version, 24, 24, 9, role, 0, generation))[0]

    assert struct.unpack_from("!I4xQ", ask(0, 0), 8) == (1, 2**64 - 1)  # equal, no generation yet
    assert struct.unpack_from("!I4xQ", ask(2, 7), 8) == (2, 7)
    assert messages.parse_error(ask(3, 6)).text.startswith("ROLE_REQUEST_FAILED")
    told = it.lose_mastery(8)
    assert (told[1:2] == b"\x1e") is (version == 5)
    (refusal,) = it.receive(encode_flow_add(FLOWS[0], version))
    assert "SLAVE" in messages.parse_error(refusal).text
    assert dumped(it) == []
    it.greet()
    assert not it.receive(encode_flow_add(FLOWS[0], version))


def test_refusals_by_content_and_commits_that_fail() -> None:
    it = switch()
    add = [encode_flow_add(flow, 5) for flow in FLOWS[:2]]
    it.faults = Faults(refuse_with=FLOWS[0].cookie.to_bytes(8, "big").hex(), fail_commits=1, no_echo=True)
    assert [bool(errors(it.receive(message))) for message in add] == [True, False]
    assert not it.receive(bytes([5, 2, 0, 8, 0, 0, 0, 1]))
    for failed in (True, False):
        it.receive(bundle_control(3, BundleType.OPEN_REQUEST, 5))
        it.receive(bundle_add(3, encode_flow_add(FLOWS[3], 5), 5))
        assert bool(errors(it.receive(bundle_control(3, BundleType.COMMIT_REQUEST, 5)))) is failed
        assert len(dumped(it)) == 2 - failed


def test_a_deaf_switch_reads_nothing_until_it_hears_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = Loop(server.getsockname(), window=4096)
        connection = Connection(switch(), loop)
        connection.open()
        peer, _ = server.accept()
        with peer:
            peer.settimeout(5)
            for _ in range(3):
                loop.step(0.05)
            assert peer.recv(16)[1] == 0
            connection.switch.faults.deaf = True
            connection.heed_faults()
            peer.sendall(barrier_request(5, 77))
            for _ in range(3):
                loop.step(0.05)
            assert connection.switch.counters.messages == 0
            peer.settimeout(0.2)
            with pytest.raises(TimeoutError):
                peer.sendall((bytes([5, 3, 4, 0]) + bytes(1020)) * 10_000)
            connection.switch.faults.deaf = False
            connection.heed_faults()
            loop.step(0.05)
            assert connection.switch.counters.messages > 0
            connection.close()


def test_long_answers_come_in_parts() -> None:
    it = switch()
    for number in range(2_000):
        it.receive(encode_flow_add(Flow(1, 1, (MatchField("eth_dst", number),)), 5))
    parts = it.receive(wire.multipart_request(5, 1, wire.MP_FLOW, wire.flow_selection()))
    assert [wire.has_more(part) for part in parts] == [True] * (len(parts) - 1) + [False]
    assert len(wire.flow_entries(parts)) == 2_000


def test_a_connection_over_a_socket_and_back_after_a_loss() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = Loop(server.getsockname(), reconnect=0.01)
        connection = Connection(switch(), loop)
        connection.switch.faults.delay = 0.01
        done = threading.Event()
        connection.open()
        serving = threading.Thread(target=lambda: loop.run(done.is_set))
        serving.start()
        try:
            for _ in range(2):
                peer, _ = server.accept()
                with peer:
                    peer.settimeout(5)
                    assert peer.recv(16)[1] == 0
                    request = barrier_request(5, 77)
                    peer.sendall(request[:3])
                    peer.sendall(request[3:] + b"")
                    assert struct.unpack_from("!BBHI", peer.recv(8)) == (5, 21, 8, 77)
        finally:
            done.set()
            serving.join()
            connection.close()
        assert connection.closed == 2


def test_a_simulated_agents_report_is_one() -> None:
    figures = Figures()
    report = Host(300, ("127.0.0.1", 1), figures, 1.0).report()
    assert HostReport.from_dict(json.loads(json.dumps(report))).tunnel_ip == "10.0.1.44"
    for moment in (1.0, 1.5):
        figures.arrived(8, moment)
    assert figures.summary()["seconds_from_first_to_last_host"] == {8: 0.5}
