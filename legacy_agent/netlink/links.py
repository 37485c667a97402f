"""Links and bridge ports of the kernel as frozen values, and the few changes the agent makes.

A thin shell around pyroute2's ``IPRoute``. Every failure is a :class:`KernelError` that says what was tried on which
interface and what the kernel answered.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.fdb import FdbEntry, FdbSocket

OUR_GROUP = 4804
"""Link group given to a device in the very message that creates it, so that one whose alias was never written (the
agent was killed in between) is still known to be ours."""

_GRE_KEY = 0x2000
_IFF_UP = 1
_DEFAULT_TTL = 64
_IGNORE_ENCAPSULATION_LIMIT = 1


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """A bridge as the agent makes it: no spanning tree, no waiting, no snooping."""

    stp: bool = False
    forward_delay: int = 0
    multicast_snooping: bool = False


@dataclass(frozen=True, slots=True)
class VlanSpec:
    """An 802.1Q sub-interface of ``parent``."""

    parent: str
    vlan_id: int


@dataclass(frozen=True, slots=True)
class VxlanSpec:
    """A VXLAN device without learning and without outer UDP checksum (some receivers drop partial ones)."""

    vni: int
    local: str
    port: int
    learning: bool = False
    udp_checksum: bool = False


@dataclass(frozen=True, slots=True)
class GretapSpec:
    """An Ethernet-over-GRE tunnel to one peer, the key in both directions."""

    key: int
    local: str
    remote: str


DeviceSpec = BridgeSpec | VlanSpec | VxlanSpec | GretapSpec

KINDS: Mapping[type, str] = {BridgeSpec: "bridge", VlanSpec: "vlan", VxlanSpec: "vxlan", GretapSpec: "gretap"}
"""Kernel link kind of each specification (IPv6 endpoints: ``ip6gretap``)."""


@dataclass(frozen=True, slots=True)
class Link:
    """One interface as the kernel has it. ``spec`` is None for kinds that the agent never makes; ``master`` is the
    name of the bridge (or bond, ...) it belongs to; ``isolated`` only has a meaning for bridge ports."""

    index: int
    name: str
    kind: str
    mtu: int
    up: bool
    alias: str = ""
    group: int = 0
    master: str | None = None
    isolated: bool = False
    spec: DeviceSpec | None = None


class Links(Protocol):
    """What the drivers ask of the kernel; :class:`KernelLinks` is the real one, tests have one in memory."""

    def links(self) -> dict[str, Link]: ...
    def addresses(self) -> dict[str, frozenset[str]]: ...
    def fdb(self, links: Mapping[str, Link]) -> frozenset[FdbEntry]: ...
    def create(self, name: str, spec: DeviceSpec, alias: str, mtu: int) -> None: ...
    def modify(self, name: str, spec: DeviceSpec) -> None: ...
    def set(self, name: str, *, alias: str | None = None, mtu: int | None = None, up: bool | None = None) -> None: ...
    def enslave(self, name: str, bridge: str | None) -> None: ...
    def isolate(self, name: str, isolated: bool) -> None: ...
    def delete(self, name: str) -> None: ...
    def quiet_ipv6(self, name: str) -> None: ...
    def add_fdb(self, entries: Sequence[FdbEntry]) -> Mapping[FdbEntry, KernelError]: ...
    def remove_fdb(self, entries: Sequence[FdbEntry]) -> Mapping[FdbEntry, KernelError]: ...


class KernelLinks:
    """:class:`Links` of the network namespace of the thread that makes it; that thread uses it."""

    def __init__(self) -> None:
        self._route = IPRoute()
        self._fdb = FdbSocket()

    def close(self) -> None:
        """Give the sockets back."""
        self._route.close()
        self._fdb.close()

    @staticmethod
    def names() -> dict[int, str]:
        """Number -> name of every interface: a hundredth of the work of :meth:`links`."""
        with _explained("list interfaces"):
            return dict(socket.if_nameindex())

    def links(self) -> dict[str, Link]:
        """Every interface by name."""
        with _explained("list interfaces"):
            messages = list(self._route.get_links())
        names = {message["index"]: message.get_attr("IFLA_IFNAME") for message in messages}
        return {names[message["index"]]: _link(message, names) for message in messages}

    def addresses(self) -> dict[str, frozenset[str]]:
        """Interface name -> its IPv4 and IPv6 addresses, without link-local ones."""
        with _explained("list addresses"):
            messages = list(self._route.get_addr())
        names = self.names()
        found: dict[str, set[str]] = {}
        for message in messages:
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if text and not ipaddress.ip_address(text).is_link_local:
                found.setdefault(names.get(message["index"], "?"), set()).add(text)
        return {name: frozenset(texts) for name, texts in found.items()}

    def fdb(self, links: Mapping[str, Link]) -> frozenset[FdbEntry]:
        """Static entries of the given interfaces."""
        return self._fdb.dump({link.index: link.name for link in links.values()})

    def create(self, name: str, spec: DeviceSpec, alias: str, mtu: int) -> None:
        """Make a device, down, without ports, marked as ours."""
        with _explained(f"create {_kind(spec)} {name}"):
            extra = self._attributes(spec)
            self._route.link("add", ifname=name, kind=_kind(spec), group=OUR_GROUP, **extra)
        self.set(name, alias=alias)
        self.set(name, mtu=mtu)  # not in the creating message: a bridge takes it as set by the user only here

    def modify(self, name: str, spec: DeviceSpec) -> None:
        """Give a bridge other settings; other kinds cannot be modified."""
        with _explained(f"change {_kind(spec)} {name}"):
            self._route.link("set", index=self._index(name), kind=_kind(spec), **self._attributes(spec))

    def set(self, name: str, *, alias: str | None = None, mtu: int | None = None, up: bool | None = None) -> None:
        """Change what is given."""
        changes: dict[str, Any] = {}
        if alias is not None:
            changes["ifalias"] = alias
        if mtu is not None:
            changes["mtu"] = mtu
        if up is not None:
            changes["state"] = "up" if up else "down"
        with _explained(f"set {', '.join(f'{key} {value}' for key, value in changes.items())} on {name}"):
            self._route.link("set", index=self._index(name), **changes)

    def enslave(self, name: str, bridge: str | None) -> None:
        """Put an interface into a bridge, or take it out of its bridge (None)."""
        with _explained(f"put {name} into {bridge}" if bridge else f"take {name} out of its bridge"):
            master = self._index(bridge) if bridge else 0
            self._route.link("set", index=self._index(name), master=master)

    def isolate(self, name: str, isolated: bool) -> None:
        """Isolated bridge ports do not forward to each other: tunnel never to tunnel."""
        with _explained(f"isolate bridge port {name}"):
            self._route.brport("set", index=self._index(name), isolated=int(isolated))

    def delete(self, name: str) -> None:
        """Delete a device; one that is gone already is fine."""
        try:
            with _explained(f"delete {name}"):
                self._route.link("del", index=self._index(name))
        except KernelError as error:
            if error.code != errno.ENODEV:
                raise

    def quiet_ipv6(self, name: str) -> None:
        """Keep the host's own IPv6 (addresses, router solicitations, MLD) off an interface that only forwards."""
        path = Path("/proc/sys/net/ipv6/conf") / name / "disable_ipv6"
        with contextlib.suppress(OSError):  # no IPv6 in this kernel, or a read-only /proc: nothing breaks
            if path.read_text().strip() != "1":
                path.write_text("1")

    def add_fdb(self, entries: Sequence[FdbEntry]) -> Mapping[FdbEntry, KernelError]:
        """Add static entries, moving MACs that are known elsewhere; what failed."""
        return self._fdb.add(entries)

    def remove_fdb(self, entries: Sequence[FdbEntry]) -> Mapping[FdbEntry, KernelError]:
        """Remove entries; what failed."""
        return self._fdb.remove(entries)

    @staticmethod
    def _index(name: str) -> int:
        try:
            return socket.if_nametoindex(name)  # one system call; asking by netlink takes ten times as long
        except OSError as error:
            raise KernelError(f"interface {name} does not exist", errno.ENODEV) from error

    def _attributes(self, spec: DeviceSpec) -> dict[str, Any]:
        if isinstance(spec, VlanSpec):
            return {"link": self._index(spec.parent), "vlan_id": spec.vlan_id}
        return _attributes(spec)


def _kind(spec: DeviceSpec) -> str:
    if isinstance(spec, GretapSpec) and ":" in spec.local:
        return "ip6gretap"
    return KINDS[type(spec)]


def _attributes(spec: BridgeSpec | VxlanSpec | GretapSpec) -> dict[str, Any]:
    if isinstance(spec, BridgeSpec):
        return {"br_stp_state": int(spec.stp), "br_forward_delay": spec.forward_delay,
                "br_mcast_snooping": int(spec.multicast_snooping)}  # fmt: skip
    if isinstance(spec, VxlanSpec):
        local = "vxlan_local6" if ":" in spec.local else "vxlan_local"
        return {"vxlan_id": spec.vni, local: spec.local, "vxlan_port": spec.port, "vxlan_ttl": _DEFAULT_TTL,
                "vxlan_learning": int(spec.learning), "vxlan_udp_csum": int(spec.udp_checksum)}  # fmt: skip
    prefix = "ip6gre" if ":" in spec.local else "gre"
    values = {"local": spec.local, "remote": spec.remote, "ikey": spec.key, "okey": spec.key, "iflags": _GRE_KEY,
              "oflags": _GRE_KEY, "ttl": _DEFAULT_TTL}  # fmt: skip
    if prefix == "ip6gre":  # else an IPv6 destination option goes before the GRE header, which Open vSwitch rejects
        values["flags"] = _IGNORE_ENCAPSULATION_LIMIT
        values["iflags"] = values["oflags"] = socket.htons(_GRE_KEY)  # pyroute2 swaps the bytes for gretap only
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _link(message: Any, names: Mapping[int, str]) -> Link:
    info: Any = message.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else None) or ""
    slave: Any = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    is_bridge_port = slave is not None and info.get_attr("IFLA_INFO_SLAVE_KIND") == "bridge"
    master = message.get_attr("IFLA_MASTER")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=kind,
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _IFF_UP),
        alias=message.get_attr("IFLA_IFALIAS") or "",
        group=message.get_attr("IFLA_GROUP") or 0,
        master=names.get(master) if master else None,
        isolated=is_bridge_port and bool(slave.get_attr("IFLA_BRPORT_ISOLATED")),
        spec=_spec(kind, info.get_attr("IFLA_INFO_DATA") if info else None, message, names),
    )


def _spec(kind: str, data: Any, message: Any, names: Mapping[int, str]) -> DeviceSpec | None:
    if data is None or not hasattr(data, "get_attr"):
        return None
    if kind == "bridge":
        return BridgeSpec(bool(data.get_attr("IFLA_BR_STP_STATE")), data.get_attr("IFLA_BR_FORWARD_DELAY") or 0,
                          bool(data.get_attr("IFLA_BR_MCAST_SNOOPING")))  # fmt: skip
    if kind == "vlan":
        return VlanSpec(names.get(message.get_attr("IFLA_LINK"), ""), data.get_attr("IFLA_VLAN_ID"))
    if kind == "vxlan":
        local = data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6") or ""
        return VxlanSpec(data.get_attr("IFLA_VXLAN_ID"), local, data.get_attr("IFLA_VXLAN_PORT") or 0,
                         bool(data.get_attr("IFLA_VXLAN_LEARNING")),
                         bool(data.get_attr("IFLA_VXLAN_UDP_CSUM")))  # fmt: skip
    if kind in ("gretap", "ip6gretap"):
        prefix = "IFLA_GRE_" if kind == "gretap" else "IFLA_IP6GRE_"
        key, local, remote = (data.get_attr(prefix + name) for name in ("IKEY", "LOCAL", "REMOTE"))
        if kind == "ip6gretap" and not (data.get_attr("IFLA_IP6GRE_IFLAGS") or 0) & socket.htons(_GRE_KEY):
            key = 0  # it has a number and does not use it
        return GretapSpec(key or 0, local or "", remote or "")
    return None


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn pyroute2's errors into ours, with the errno's text and what was tried."""
    try:
        yield
    except NetlinkError as error:
        code = abs(error.code or 0)
        raise KernelError(f"cannot {what}: {os.strerror(code)}", code) from error
    except OSError as error:
        raise KernelError(f"cannot {what}: {error.strerror or error}", error.errno or 0) from error
