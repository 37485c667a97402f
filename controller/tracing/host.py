"""A frame on a legacy host: its host plan as the agent would wire it, and the guard that its agent puts before ports.

The guard is the agent's own rules, read as they are written; the bridge knows where the addresses of ports are, or
brings a frame to everybody (see :class:`controller.tracing.site.Site`).
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.dataplane import fields
from controller.dataplane.packet import Packet, Vlan
from controller.model import Port, Segment
from controller.tracing import reasons
from controller.tracing.passage import (
    Came,
    FromPhysical,
    FromPort,
    FromTunnel,
    Passage,
    Sent,
    Step,
    ToPhysical,
    ToPort,
    ToTunnel,
)
from controller.tracing.site import Seen, Site
from legacy_agent.drivers.linuxbridge import guard
from legacy_agent.drivers.linuxbridge.desired import gre_name, vlan_name
from legacy_agent.host_plan import HostNetwork, HostPlan, HostPort, bridge_name, device_name
from legacy_agent.netlink.nft import ACCEPT, Field, Meta, Rule, Test

_NAMES: dict[Field | Meta, tuple[str, ...]] = {
    guard.ETH_DST: ("eth_dst",),
    guard.ETH_SRC: ("eth_src",),
    guard.ARP_OPERATION: ("arp_op",),
    guard.ARP_SENDER_MAC: ("arp_sha",),
    guard.ARP_SENDER_IP: ("arp_spa",),
    guard.ARP_TARGET_IP: ("arp_tpa",),
    guard.IPV4_SRC: ("ipv4_src",),
    guard.IPV6_SRC: ("ipv6_src",),
    Meta.L4_PROTOCOL: ("ip_proto",),
    guard.UDP_SRC: ("udp_src", "tcp_src"),
    guard.UDP_DST: ("udp_dst", "tcp_dst"),
    guard.ICMPV6_TYPE: ("icmpv6_type",),
    guard.ND_TARGET: ("ipv6_nd_target",),
}
"""What the guard's fields are called in packets."""


class TracedHost:
    """A legacy host with its plan, as one trace sees it."""

    def __init__(self, seen: Seen, plan: HostPlan, site: Site, network_id: str, home: Port | None) -> None:
        """``home``: where the destination is, as far as the bridge knows."""
        self._seen, self._plan, self._site, self._network_id, self._home = seen, plan, site, network_id, home

    def passage(self, came: Came, packet: Packet) -> Passage:
        """What becomes of a frame there."""
        if isinstance(came, FromPort):
            return self._from_port(came, packet)
        if isinstance(came, FromPhysical):
            return self._from_physical(came, packet)
        if isinstance(came, FromTunnel):
            return self._from_tunnel(came, packet)
        return Passage(ended="legacy hosts have no OpenFlow ports")

    def _from_port(self, came: FromPort, packet: Packet) -> Passage:
        found = next(((network, port) for network in self._plan.networks for port in network.ports
                      if port.port_id == came.port_id), None)  # fmt: skip
        if found is None:
            known = self._site.port(came.port_id)
            why = reasons.silence(self._site, known) if known is not None else "it does not exist any more"
            return Passage(ended=why or f"the host's plan does not have port {came.port_id}")
        network, port = found
        absent = "" if port.port_id in self._seen.observation.attachments else f"; {reasons.ABSENT}"
        step = Step(f"comes in by {device_name(port.port_id)}{absent}")
        refusal = self._refusal(port, packet)
        if refusal:
            return Passage((step,), ended=refusal)
        passed = Step("its guard lets it pass" if port.port_security else "port security is off")
        local = list(self._local(network, packet, but=port.port_id))
        if not _is_here(network, packet):
            local += self._outwards(network, packet)
        bridged = self._bridged(network)
        return Passage((step, passed, bridged), tuple(local), "" if local else self._nobody(packet))

    def _from_physical(self, came: FromPhysical, packet: Packet) -> Passage:
        for network in self._plan.networks:
            inside = _untagged(packet, network) if network.physical_network == came.physical_network else None
            if inside is not None:
                return self._inside(network, inside)
        what = reasons.tag_text(packet)
        return Passage(ended=f"no network of the host takes {what} from physical network {came.physical_network}")

    def _from_tunnel(self, came: FromTunnel, packet: Packet) -> Passage:
        for network in self._plan.networks:
            if (network.network_type, network.segmentation_id) != (came.network_type, came.tunnel_id):
                continue
            if came.network_type == "gre" and came.source not in network.peers:
                return Passage(ended=f"the host has no GRE tunnel to {came.source} for network {network.network_id}")
            return self._inside(network, packet)
        return Passage(ended=f"no network of the host has {came.network_type} {came.tunnel_id}")

    def _inside(self, network: HostNetwork, packet: Packet) -> Passage:
        local = tuple(self._local(network, packet))
        return Passage((self._bridged(network),), local, "" if local else self._nobody(packet))

    def _refusal(self, port: HostPort, packet: Packet) -> str:
        """Why a port may not send the frame; empty if it may."""
        known = self._site.port(port.port_id)
        if not port.admin_state_up:
            return (known and reasons.silence(self._site, known)) or f"port {port.port_id} is down"
        rule = _deciding(port, packet)
        if rule is None or rule.verdict == ACCEPT or known is None:
            return ""
        if packet.vlans:
            return reasons.tagged(known, packet)
        names = [test.field for test in rule.tests]
        if guard.ETH_DST in names:
            return f"frames to {fields.mac_text(packet['eth_dst'])} end at every bridge"
        return reasons.security(known, packet, _forbidden(rule))

    def _local(self, network: HostNetwork, packet: Packet, but: str = "") -> Iterator[Sent]:
        """The ports of the bridge that get it: the one with the address, or all while nobody is known to have it."""
        up = [port for port in network.ports if port.admin_state_up and port.port_id != but]
        owners = [port for port in up if fields.mac(port.mac) == packet["eth_dst"]]
        for port in owners or (up if self._home is None else []):
            yield Sent(ToPort(port.port_id, device_name(port.port_id)), packet)

    def _outwards(self, network: HostNetwork, packet: Packet) -> Iterator[Sent]:
        kind, number = network.network_type, network.segmentation_id
        name = network.physical_network
        if name is not None:
            uplink = self._seen.node.physical_networks.get(name, "its uplink")
            tags = () if kind == "flat" or number is None else (Vlan(number),)
            device = vlan_name(uplink, tags[0].vid) if tags else uplink
            yield Sent(ToPhysical(name, device), Packet(packet.headers, (*tags, *packet.vlans), packet.payload))
        elif number is not None:
            known = {fields.mac(remote.mac): remote.endpoint for remote in network.remotes}
            only = known.get(packet["eth_dst"])
            for endpoint in (only,) if only else network.peers:
                device = gre_name(network.network_id, endpoint) if kind == "gre" else f"{kind}-{number}"
                yield Sent(ToTunnel(kind, number, endpoint, device), packet)

    def _bridged(self, network: HostNetwork) -> Step:
        where = bridge_name(network.network_id) if network.driver == "linuxbridge" else f"driver {network.driver}"
        segment = Segment("", network.network_type, network.physical_network, network.segmentation_id)
        return Step(f"in the bridge ({where}) of network {network.network_id}: {segment}")

    def _nobody(self, packet: Packet) -> str:
        if packet["eth_dst"] >> 40 & 1:
            return "nobody else hears broadcasts and multicasts of the network here"
        owner = self._site.owner(self._network_id, packet["eth_dst"])
        if owner is not None and owner.binding is not None and owner.binding.node_id == self._seen.node.id:
            down = reasons.silence(self._site, owner)
            return down or f"port {owner.id} is on this host and does not get it"
        return f"no port of the network here has the address {fields.mac_text(packet['eth_dst'])}"


def _is_here(network: HostNetwork, packet: Packet) -> bool:
    return any(fields.mac(port.mac) == packet["eth_dst"] and port.admin_state_up for port in network.ports)


def _untagged(packet: Packet, network: HostNetwork) -> Packet | None:
    """The frame as the bridge of the network gets it from its uplink, None if it is for another network."""
    if network.network_type == "flat":
        return None if packet.vlans else packet
    if not packet.vlans or packet.vlans[0].vid != network.segmentation_id:
        return None
    return Packet(packet.headers, packet.vlans[1:], packet.payload)


def _deciding(port: HostPort, packet: Packet) -> Rule | None:
    """The rule of the port's guard that decides over a frame."""
    return next((rule for rule in guard.rules(port) if all(_holds(test, packet) for test in rule.tests)), None)


def _holds(test: Test, packet: Packet) -> bool:
    """Whether a condition holds; none does for a field that the frame does not have."""
    value = _value(test.field, packet)
    if value is None:
        return False
    content = value.to_bytes(len(test.value), "big")
    if test.mask is not None:
        content = bytes(one & other for one, other in zip(content, test.mask, strict=True))
    return (content == test.value) is test.equal


def _value(field: Field | Meta, packet: Packet) -> int | None:
    if field == guard.ETH_TYPE:
        return packet.vlans[0].ethertype if packet.vlans else packet.get("eth_type")
    found = (packet.get(name) for name in _NAMES.get(field, ()))
    return next((value for value in found if value is not None), None)


def _forbidden(rule: Rule) -> str:
    """What a rule forbids to all tenants, by what it looks at; empty for the rules about addresses."""
    names = {test.field for test in rule.tests}
    if guard.ND_TARGET in names:
        return "neighbour advertisements for addresses of others"
    if names & {guard.UDP_SRC, guard.UDP_DST}:
        return "answers of DHCP servers"
    return "router advertisements and redirects" if guard.ICMPV6_TYPE in names else ""
