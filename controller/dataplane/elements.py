"""What flows and groups are made of: match fields and actions. Values without policy and without bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class MatchField:
    """``name`` as in ``dataplane.fields``; ``mask`` None is an exact match. Values are unsigned integers
    (a MAC has 48 bits, IPv6 128)."""

    name: str
    value: int
    mask: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet out of an OpenFlow port (or a reserved one, e.g. ``IN_PORT``, ``CONTROLLER``)."""

    port: int
    max_len: int = 0


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand the packet to a group."""

    group_id: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Set a header or metadata field to a value; ``name`` as in ``dataplane.fields``."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Push an 802.1Q (0x8100) or 802.1ad (0x88a8) tag."""

    ethertype: int = 0x8100


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Remove the outermost VLAN tag."""


@dataclass(frozen=True, slots=True)
class Move:
    """Copy the whole of one field into another of the same width (the Nicira extension NXAST_REG_MOVE)."""

    source: str
    target: str


Action = Output | ToGroup | SetField | PushVlan | PopVlan | Move
