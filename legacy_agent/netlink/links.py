"""Links and bridge ports of the kernel as frozen values, and the few changes the agent makes.

They are read by hand-made dumps (layout: ``linux/if_link.h``) and changed by pyroute2's ``IPRoute``. Every failure is
a :class:`KernelError` that says what was tried on which interface and what the kernel answered.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from legacy_agent.netlink.errors import KernelError
from legacy_agent.netlink.fdb import FdbEntry, ForwardingDatabase
from legacy_agent.netlink.messages import attribute, attributes
from legacy_agent.netlink.route import RouteSocket

OUR_GROUP = 4804
"""Link group given to a device in the very message that creates it, so that one whose alias was never written (the
agent was killed in between) is still known to be ours."""

_GRE_KEY = 0x2000
_IFF_UP = 1
_GET_LINK = 18
_INFO = struct.Struct("=BxHiII")
_NAME, _MTU, _LOWER, _MASTER, _LINK_INFO, _ALIAS, _GROUP, _WANTED = 3, 4, 5, 10, 18, 20, 27, 29
_KIND, _DATA, _SLAVE_KIND, _SLAVE_DATA = 1, 2, 4, 5
_ISOLATED = 33
_NO_STATISTICS = 1 << 3
_EVERY_LINK = _INFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_WANTED, struct.pack("=I", _NO_STATISTICS))
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
        self._dumps = RouteSocket()
        self._fdb = ForwardingDatabase(self._dumps)

    def close(self) -> None:
        """Give the sockets back."""
        self._route.close()
        self._dumps.close()

    @staticmethod
    def names() -> dict[int, str]:
        """Number -> name of every interface: a hundredth of the work of :meth:`links`."""
        with _explained("list interfaces"):
            return dict(socket.if_nameindex())

    def links(self) -> dict[str, Link]:
        """Every interface by name."""
        found = self._dumps.dump(_GET_LINK, _EVERY_LINK, "list interfaces")
        messages = {_INFO.unpack_from(body)[2]: (body, dict(attributes(body[_INFO.size :]))) for body in found}
        names = {index: _string(parts[_NAME]) for index, (_, parts) in messages.items()}
        links = (_link(index, body, parts, names) for index, (body, parts) in messages.items())
        return {link.name: link for link in links}

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


def _link(index: int, body: bytes, parts: Mapping[int, bytes], names: Mapping[int, str]) -> Link:
    info = dict(attributes(parts.get(_LINK_INFO, b"")))
    kind = _string(info.get(_KIND, b""))
    slave = dict(attributes(info.get(_SLAVE_DATA, b""))) if _string(info.get(_SLAVE_KIND, b"")) == "bridge" else {}
    return Link(
        index=index,
        name=names[index],
        kind=kind,
        mtu=_integer(parts.get(_MTU)),
        up=bool(_INFO.unpack_from(body)[3] & _IFF_UP),
        alias=_string(parts.get(_ALIAS, b"")),
        group=_integer(parts.get(_GROUP)),
        master=names.get(_integer(parts.get(_MASTER))),
        isolated=bool(_integer(slave.get(_ISOLATED))),
        spec=_spec(kind, dict(attributes(info[_DATA])), parts, names) if _DATA in info else None,
    )


def _spec(kind: str, data: Mapping[int, bytes], parts: Mapping[int, bytes],
          names: Mapping[int, str]) -> DeviceSpec | None:  # fmt: skip
    """The numbers are those of ``linux/if_link.h`` (bridge, vlan, vxlan) and ``linux/if_tunnel.h``."""
    if kind == "bridge":
        return BridgeSpec(bool(_integer(data.get(5))), _integer(data.get(1)), bool(_integer(data.get(23))))
    if kind == "vlan":
        return VlanSpec(names.get(_integer(parts.get(_LOWER)), ""), _integer(data.get(1)))
    if kind == "vxlan":
        return VxlanSpec(_integer(data.get(1)), _address(data.get(4) or data.get(17)), _integer(data.get(15), "big"),
                         bool(_integer(data.get(7))), bool(_integer(data.get(18))))  # fmt: skip
    if kind in ("gretap", "ip6gretap"):
        has_key = _integer(data.get(2), "big") & _GRE_KEY  # there is a number also where it is not used
        key = _integer(data.get(4), "big") if has_key else 0
        return GretapSpec(key, _address(data.get(6)), _address(data.get(7)))
    return None


def _integer(data: bytes | None, order: Literal["little", "big"] = sys.byteorder) -> int:
    return int.from_bytes(data or b"", order)


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _address(data: bytes | None) -> str:
    return str(ipaddress.ip_address(data)) if data else ""


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
