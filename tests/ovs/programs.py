"""Small programs for the southbound's tests."""

from __future__ import annotations

from controller.dataplane.values import (
    Bucket,
    Flow,
    Fragment,
    Group,
    GroupType,
    MatchField,
    Meter,
    Output,
    Program,
    SetField,
    ToGroup,
)

GROUP = 0x20000007


def flow(number: int, port: int = 1, table: int = 4) -> Flow:
    """A flow whose key follows from ``number`` and whose action from ``port``."""
    match = (MatchField("eth_dst", 0x020000000000 + number),)
    return Flow(table, 100, match, (Output(port),), why=f"flow {number}")


def group(*ports: int, group_id: int = GROUP) -> Group:
    """A group that copies to these ports."""
    return Group(group_id, GroupType.ALL, tuple(Bucket((Output(port),)) for port in ports), why="a group")


def to_group(group_id: int = GROUP) -> Flow:
    """A flow that uses the group."""
    return Flow(5, 50, (MatchField("in_port", 9),), (ToGroup(group_id),), why="a flow to a group")


def to_tunnel(number: int) -> Flow:
    """A flow with the actions of a tunnel endpoint."""
    actions = (SetField("tunnel_id", 77), SetField("tun_ipv4_dst", 0x0A000000 + number), Output(3))
    return Flow(6, 10, (MatchField("in_port", number),), actions, why=f"tunnel {number}")


def program(revision: int, *parts: Flow | Group | Meter) -> Program:
    """A program of one fragment."""
    flows = tuple(part for part in parts if isinstance(part, Flow))
    groups = tuple(part for part in parts if isinstance(part, Group))
    meters = tuple(part for part in parts if isinstance(part, Meter))
    return Program.of(revision, [Fragment(("test",), flows, groups, meters)])
