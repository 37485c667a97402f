"""The host plan: what one legacy host must look like, and what its agent says of itself.

Compiled by the mechanism drivers of the controller, carried as JSON, realised by the agent's drivers. Pure values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from typing import Any

from controller.errors import ReportError


@dataclass(frozen=True, slots=True, order=True)
class AllowedAddress:
    """One source a port may use: MAC (lower case, colons) with one IPv4/IPv6 address or CIDR."""

    mac: str
    cidr: str


@dataclass(frozen=True, slots=True, order=True)
class HostPort:
    """A port on the host. ``allowed`` is what may leave it when ``port_security`` is on; ``macs`` are the source MACs
    that may (its own and those of its address pairs). A port with ``admin_state_up`` false carries nothing."""

    port_id: str
    mac: str
    admin_state_up: bool = True
    port_security: bool = True
    may_serve_dhcp: bool = False
    macs: tuple[str, ...] = ()
    allowed: tuple[AllowedAddress, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class RemoteAddress:
    """A MAC behind another node's tunnel endpoint, for the static forwarding database."""

    mac: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class HostNetwork:
    """One network on the host, by the segment that binds it here and the agent driver that must realise it.

    ``peers`` are tunnel endpoints of the other nodes that carry it (broadcast is replicated to each), ``remotes`` the
    known MACs behind them; both empty for flat and VLAN networks.
    """

    network_id: str
    driver: str
    network_type: str
    physical_network: str | None
    segmentation_id: int | None
    mtu: int
    ports: tuple[HostPort, ...] = ()
    peers: tuple[str, ...] = ()
    remotes: tuple[RemoteAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Everything that should be on one host, compiled from the intent at ``revision``."""

    host: str
    revision: int
    networks: tuple[HostNetwork, ...] = ()

    @property
    def digest(self) -> str:
        """Hash of the content without the revision: equal digests need no work on the host."""
        return _digest([_network_dict(network) for network in self.networks])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; :meth:`from_dict` is its inverse."""
        networks = [_network_dict(network) for network in self.networks]
        return {"host": self.host, "revision": self.revision, "networks": networks, "digest": _digest(networks)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HostPlan:
        """Read the JSON form; raises ``KeyError``, ``TypeError`` or ``ValueError`` when it is not one."""
        return cls(data["host"], int(data["revision"]), tuple(_network(item) for item in data["networks"]))


@dataclass(frozen=True, slots=True)
class HostReport:
    """What an agent says: its facts, the plan it applied, the endpoints it sees, and what failed.

    ``applied_revision`` is the newest plan revision that is in force (0: none yet). ``devices`` maps the first eleven
    characters of a port id -> interface name of each tap that exists. ``errors`` maps network id -> reason, for what
    could not be realised. ``limits`` maps network type -> reason, for what this kernel cannot do.
    ``announcement_key`` (hexadecimal) is the key of the digest in the agent's LLDP frames, made anew at every start.
    """

    host: str
    applied_revision: int = 0
    tunnel_ip: str | None = None
    tunnel_types: tuple[str, ...] = ()
    physical_networks: Mapping[str, str] = field(default_factory=dict)
    drivers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Agent driver -> network types it serves, e.g. ``{"linuxbridge": ("flat", "vlan", "gre", "vxlan")}``."""
    vif_details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Agent driver -> what it adds to ``binding:vif_details``, e.g. the bridge that VMs are plugged into."""
    devices: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    announcement_key: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; :meth:`from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> HostReport:
        """Read and check the JSON form; raises :class:`ReportError` naming the first field at fault."""
        if not isinstance(data, Mapping):
            raise ReportError("the report must be a JSON object")
        unknown = sorted(set(data) - set(cls.__dataclass_fields__))
        if unknown:
            raise ReportError(f"unknown field {unknown[0]!r} in the report")
        return cls(
            host=_text(data, "host", required=True),
            applied_revision=_number(data, "applied_revision"),
            tunnel_ip=_text(data, "tunnel_ip") or None,
            tunnel_types=_strings(data.get("tunnel_types", ()), "tunnel_types"),
            physical_networks=_string_map(data, "physical_networks"),
            drivers={name: _strings(types, f"drivers.{name}") for name, types in _mapping(data, "drivers").items()},
            vif_details={
                name: _strings_by_name(details, f"vif_details.{name}")
                for name, details in _mapping(data, "vif_details").items()
            },
            devices=_string_map(data, "devices"),
            limits=_string_map(data, "limits"),
            errors=_string_map(data, "errors"),
            announcement_key=_text(data, "announcement_key"),
            version=_text(data, "version"),
        )


def device_name(port_id: str) -> str:
    """The tap that belongs to a port, by Neutron's and Nova's convention."""
    return "tap" + port_id[:11]


def bridge_name(network_id: str) -> str:
    """The Linux bridge of a network, by Neutron's convention."""
    return "brq" + network_id[:11]


def _digest(networks: list[dict[str, Any]]) -> str:
    return blake2b(json.dumps(networks, sort_keys=True).encode(), digest_size=8).hexdigest()


def _network_dict(network: HostNetwork) -> dict[str, Any]:
    """What ``asdict`` makes of it, in a fraction of the time: a plan may name thousands of remotes."""
    own = {item.name: getattr(network, item.name) for item in fields(network)}
    remotes = [{"mac": remote.mac, "endpoint": remote.endpoint} for remote in network.remotes]
    return {**own, "ports": [asdict(port) for port in network.ports], "remotes": remotes}


def _network(item: Mapping[str, Any]) -> HostNetwork:
    ports = tuple(_port(port) for port in item["ports"])
    remotes = tuple(RemoteAddress(**_known(RemoteAddress, remote)) for remote in item["remotes"])
    own = _known(HostNetwork, item)
    return HostNetwork(**{**own, "ports": ports, "peers": tuple(item["peers"]), "remotes": remotes})


def _port(item: Mapping[str, Any]) -> HostPort:
    allowed = tuple(AllowedAddress(**_known(AllowedAddress, address)) for address in item["allowed"])
    return HostPort(**{**_known(HostPort, item), "macs": tuple(item["macs"]), "allowed": allowed})


def _known(kind: type[Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a controller is upgraded before the agents, and may say more."""
    return {name: value for name, value in item.items() if name in kind.__dataclass_fields__}


def _text(data: Mapping[str, Any], name: str, required: bool = False) -> str:
    value = data.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise ReportError(f"field {name!r} must be a{' non-empty' if required else ''} string, not {value!r}")
    return value


def _number(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ReportError(f"field {name!r} must be a non-negative integer, not {value!r}")
    return value


def _strings(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ReportError(f"field {name!r} must be a list of strings, not {value!r}")
    return tuple(value)


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ReportError(f"field {name!r} must be an object, not {value!r}")
    return value


def _string_map(data: Mapping[str, Any], name: str) -> dict[str, str]:
    return _strings_by_name(_mapping(data, name), name)


def _strings_by_name(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise ReportError(f"field {name!r} must map strings to strings, not {value!r}")
    return dict(value)
