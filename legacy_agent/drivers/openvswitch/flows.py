"""The flows of one network: into it (``classify``), and where its frames go (``forward``). Pure.

Nothing is learned. The MAC addresses of secured ports and of ports behind tunnels are known from the plan, so whatever
is unknown lies outside or behind a port without port security. A frame from a tunnel never goes into a tunnel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from legacy_agent.drivers.openvswitch.guard import guard
from legacy_agent.drivers.openvswitch.items import Template
from legacy_agent.drivers.openvswitch.tables import CLASSIFY, COPIES, FORWARD, SCREEN, goto
from legacy_agent.host_plan import HostNetwork, HostPort

_CONTROL, _ENTRY = 200, 100
_KNOWN, _SHARED, _GROUP, _UNKNOWN = 100, 90, 50, 10
_MULTICAST = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"
_FROM_TUNNEL = 1
"""The lowest bit of the metadata; the others are the network."""
_ANY_SOURCE = 0xFFFFFFFFFFFFFFFE

_PEERS_PER_FLOW = 256
"""More or less. A message of 64 KB holds the actions for 1,600; and the fewer, the less is changed by a new peer."""

CONTROL_FRAMES = Template(CLASSIFY, _CONTROL, "dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0", ())
"""Link-local control frames (IEEE 802.1D) concern neighbours on a cable; bridges do not forward them."""


@dataclass(frozen=True, slots=True)
class Outside:
    """How a network leaves the host: by an uplink (``vlan_id`` None: untagged), or by a tunnel port to ``peers``."""

    interface: str = ""
    vlan_id: int | None = None
    tunnel_key: int | None = None
    peers: tuple[str, ...] = ()

    @property
    def is_tunnel(self) -> bool:
        """Whether it is a tunnel."""
        return self.tunnel_key is not None


def network_flows(network: HostNetwork, outside: Outside, taps: Mapping[str, str]) -> Iterator[Template]:
    """All flows of a network. ``taps`` maps port id -> interface of the ports that are plugged in."""
    live = [(port, taps[port.port_id]) for port in network.ports if port.admin_state_up and port.port_id in taps]
    metadata = network_key(network.network_id)
    for port, tap in live:
        yield Template(CLASSIFY, _ENTRY, f"in_port={{{tap}}}", (f"write_metadata:{metadata:#x}", goto(SCREEN)))
        yield from guard(port, tap)
    yield from _entry(outside, metadata)
    yield from _copies(outside, metadata)
    yield from _forward(network, outside, live, metadata)


def network_key(network_id: str) -> int:
    """The number by which a network is known on the bridge: a hash, so that it depends on nothing else."""
    return int.from_bytes(blake2b(network_id.encode(), digest_size=8).digest()) & _ANY_SOURCE


def _entry(outside: Outside, metadata: int) -> Iterator[Template]:
    if not outside.interface:
        return
    source = f"in_port={{{outside.interface}}}"
    if outside.is_tunnel:
        match = f"{source},tun_id={outside.tunnel_key:#x},vlan_tci=0x0000/0x1000"
        yield Template(CLASSIFY, _ENTRY, match, (f"write_metadata:{metadata | _FROM_TUNNEL:#x}", goto(FORWARD)))
    elif outside.vlan_id is None:
        match = f"{source},vlan_tci=0x0000/0x1000"
        yield Template(CLASSIFY, _ENTRY, match, (f"write_metadata:{metadata:#x}", goto(FORWARD)))
    else:
        actions = ("pop_vlan", f"write_metadata:{metadata:#x}", goto(FORWARD))
        yield Template(CLASSIFY, _ENTRY, f"{source},dl_vlan={outside.vlan_id}", actions)


def _forward(network: HostNetwork, outside: Outside, live: list[tuple[HostPort, str]],
             metadata: int) -> Iterator[Template]:  # fmt: skip
    """Where frames go, by destination. A frame never goes back where it came from: OpenFlow sees to that."""
    everybody = tuple(_output(tap) for _, tap in live)
    unguarded = tuple(_output(tap) for port, tap in live if not port.port_security)
    own: defaultdict[str, set[str]] = defaultdict(set)
    shared: defaultdict[str, set[str]] = defaultdict(set)
    for port, tap in live:
        own[port.mac].add(tap)
        for mac in set(port.macs) - {port.mac}:
            shared[mac].add(tap)
    for mac in [mac for mac, taps in own.items() if len(taps) > 1 or mac in shared]:
        shared[mac] |= own.pop(mac)
    for mac, taps in sorted(own.items()):
        match = f"metadata={metadata:#x}/{_ANY_SOURCE:#x},dl_dst={mac}"
        yield Template(FORWARD, _KNOWN, match, tuple(map(_output, sorted(taps))))
    for mac, taps in sorted(shared.items()):
        yield from _both(_SHARED, f",dl_dst={mac}", (*map(_output, sorted(taps)), *unguarded), outside, metadata)
    yield from _remotes(network, outside, set(own) | set(shared), metadata)
    yield from _both(_GROUP, f",{_MULTICAST}", everybody, outside, metadata)
    yield from _both(_UNKNOWN, "", unguarded, outside, metadata)


def _both(priority: int, match: str, inside: tuple[str, ...], outside: Outside, metadata: int) -> Iterator[Template]:
    """A flow for frames that may go out, and one for those that came by a tunnel."""
    inside = tuple(dict.fromkeys(inside))
    yield Template(FORWARD, priority, f"metadata={metadata:#x}{match}", (*inside, *_out(outside)))
    if outside.is_tunnel:
        yield Template(FORWARD, priority, f"metadata={metadata | _FROM_TUNNEL:#x}{match}", inside)


def _copies(outside: Outside, metadata: int) -> Iterator[Template]:
    """What goes to all peers: a flow for each part of them, to which a frame is resubmitted by its number."""
    for number, peers in enumerate(_parts(outside.peers)):
        if peers:
            actions = tuple(_to_peer(outside, peer) for peer in peers)
            yield Template(COPIES, _KNOWN, f"metadata={metadata:#x},reg0={number}", actions)


def _parts(peers: tuple[str, ...]) -> list[list[str]]:
    """The peers in a power of two parts, each peer by its hash: when one comes or goes, only its own part changes."""
    count = 1 << max(0, (len(peers) - 1) // _PEERS_PER_FLOW).bit_length()
    parts: list[list[str]] = [[] for _ in range(count)]
    for peer in peers:
        parts[int.from_bytes(blake2b(peer.encode(), digest_size=4).digest()) % count].append(peer)
    return parts


def _remotes(network: HostNetwork, outside: Outside, here: set[str], metadata: int) -> Iterator[Template]:
    if not outside.is_tunnel or not outside.interface:
        return
    for remote in network.remotes:
        if remote.mac not in here and remote.endpoint in outside.peers:
            actions = (f"set_field:{outside.tunnel_key:#x}->tun_id", _to_peer(outside, remote.endpoint))
            yield Template(FORWARD, _KNOWN, f"metadata={metadata:#x},dl_dst={remote.mac}", actions)


def _out(outside: Outside) -> tuple[str, ...]:
    """Out of the host, last of all: what it sets on the frame would stay on copies that come later."""
    if not outside.interface:
        return ()
    if outside.is_tunnel:
        parts = (f"set_field:{number}->reg0,resubmit(,{COPIES})" for number in range(len(_parts(outside.peers))))
        return (f"set_field:{outside.tunnel_key:#x}->tun_id", *parts) if outside.peers else ()
    if outside.vlan_id is None:
        return (_output(outside.interface),)
    return (f"push_vlan:0x8100,set_field:{0x1000 | outside.vlan_id}->vlan_vid,{_output(outside.interface)}",)


def _to_peer(outside: Outside, peer: str) -> str:
    return f"set_field:{peer}->{'tun_ipv6_dst' if ':' in peer else 'tun_dst'},{_output(outside.interface)}"


def _output(interface: str) -> str:
    return f"output:{{{interface}}}"
