"""Why a frame ends where it ends, in words that name the object of the API."""

from __future__ import annotations

from controller.dataplane import fields
from controller.dataplane.packet import Packet
from controller.model import Port
from controller.tracing.site import Site
from mechanisms.sources import allowed_macs, allowed_sources

ABSENT = "the node has not said that such an interface is there"


def silence(site: Site, port: Port) -> str:
    """Why a port carries nothing, whatever it sends; empty if it should."""
    network = site.network(port.network_id)
    if port.binding is None:
        refusal = port.binding_refusal or ("its binding:host_id is empty" if not port.host else "")
        return f"port {port.id} is not bound" + (f": {refusal}" if refusal else "")
    if not port.admin_state_up:
        return f"port {port.id} is administratively down"
    if network is None or not network.admin_state_up:
        return f"network {port.network_id} is administratively down"
    carried = site.intent.segment_on(port.binding.node_id, port.network_id)
    if carried is not None and carried.id != port.binding.segment_id:
        return (f"port {port.id} is bound by {site.segment(port)}, but its node carries the network by {carried}; a "
                "node carries a network by one segment only")  # fmt: skip
    return ""


def security(port: Port, packet: Packet, forbidden: str = "") -> str:
    """What port security has against a frame; ``forbidden`` is what it is, where that is for no tenant."""
    if forbidden:
        return f"port security of port {port.id}: {forbidden} are forbidden"
    return f"port security of port {port.id}: it may not send as {sender(packet)}; it may as {allowed(port)}"


def sender(packet: Packet) -> str:
    """Who a frame claims to be from."""
    said = fields.mac_text(packet["eth_src"])
    for name, what in (("arp_spa", "ARP sender"), ("ipv4_src", "IPv4"), ("ipv6_src", "IPv6")):
        address = packet.get(name)
        if address is not None:
            claimed = packet.get("arp_sha")
            also = f" ({fields.mac_text(claimed)})" if claimed not in (None, packet["eth_src"]) else ""
            return f"{said} with {what} {fields.named(name).format(address)}{also}"
    return f"{said} with EtherType 0x{packet['eth_type']:04x}"


def allowed(port: Port) -> str:
    """As whom a secured port may send."""
    sources = allowed_sources(port)
    parts = []
    for mac in allowed_macs(port):
        addresses = [source.cidr for source in sources if source.mac == mac]
        parts.append(f"{mac} with {', '.join(addresses)}" if addresses else f"{mac} without a fixed IP address")
    return "; ".join(parts)


def tag_text(packet: Packet) -> str:
    """How a frame is tagged."""
    return f"VLAN {packet.vlans[0].vid}" if packet.vlans else "untagged frames"


def tagged(port: Port, packet: Packet) -> str:
    """A port's own tags."""
    return f"port {port.id} sends with the tag of VLAN {packet.vlans[0].vid}; tagged frames of ports are dropped"


def unreachable(site: Site, sender_port: Port, target: Port) -> str:
    """Why a port cannot get what another sends, whatever that is; empty if it can."""
    if target.network_id != sender_port.network_id:
        return f"port {target.id} is on network {target.network_id}, not on {sender_port.network_id}"
    down = silence(site, target)
    if down or target.binding is None or sender_port.binding is None:
        return down
    if target.binding.segment_id != sender_port.binding.segment_id:
        return (f"port {target.id} is bound by {site.segment(target)} and port {sender_port.id} by "
                f"{site.segment(sender_port)}: nothing joins the segments of a network")  # fmt: skip
    return ""
