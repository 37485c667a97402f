"""What clients and hypervisors do: one random thing at a time."""

from __future__ import annotations

from collections.abc import Callable

from tests.soak.world import SoakPort, World
from tests.support.datacentre import NetworkSpec

NODES = ("ovs1", "ovs2", "host1", "host2")
SWITCHES = ("ovs1", "ovs2")
MOST_NETWORKS, MOST_PORTS, MOST_VMS = 8, 24, 14
TYPES = ("flat", "vlan", "vlan", "gre", "gre", "vxlan", "vxlan", "geneve", "local")


def step(world: World) -> None:
    """One operation that is possible now."""
    for _ in range(20):
        operation = world.dice.choice(OPERATIONS)
        if operation(world):
            return


def add_network(world: World) -> bool:
    """A network of any type with a subnet; the number is given or allocated."""
    if len(world.types) >= MOST_NETWORKS:
        return False
    kind = world.dice.choice(TYPES)
    if kind == "flat" and "flat" in world.types.values():
        return False
    number = world.number()
    given = kind in ("gre", "vxlan", "geneve") and world.dice.random() < 0.5
    vlan_on = world.dice.choice(("physnet1", "physnet2"))
    physical = {"flat": "physnet2", "vlan": vlan_on}.get(kind)
    name, cidr = f"net{number}", f"172.{16 + number // 250 % 16}.{number % 250}.0/24"
    spec = NetworkSpec(name, kind, physical, 1000 + number if given else None, cidr)
    world.note(f"create network {spec} {name}")
    network = world.create("network", **spec.attributes())
    world.create("subnet", name=f"sub-{name}", network_id=network["id"], ip_version=4, cidr=cidr, enable_dhcp=False)
    world.site.networks[name], world.site.cidrs[name] = network, cidr
    world.types[name], world.network_up[name] = kind, True
    for _ in range(world.dice.randint(1, 3)):
        add_port(world, name)
    return True


def remove_network(world: World) -> bool:
    """With everything on it."""
    if len(world.types) < MOST_NETWORKS // 2:
        return False
    name = world.dice.choice(sorted(world.types))
    world.note(f"delete network {name} and its ports")
    for port in [port for port in world.ports.values() if port.network == name]:
        _remove(world, port, world.dice.random() < 0.5)
    world.delete("network", world.site.networks.pop(name)["id"])
    del world.types[name], world.network_up[name], world.site.cidrs[name]
    return True


def add_port(world: World, network: str = "") -> bool:
    """A port with or without a host, mostly plugged in at once."""
    if not world.types or len(world.ports) >= MOST_PORTS:
        return False
    name = network or world.dice.choice(sorted(world.types))
    number = world.number()
    ip = world.site.cidrs[name].replace(".0/24", f".{10 + number % 240}")
    if any(port.ip == ip and port.network == name for port in world.ports.values()):
        return False
    host = "" if world.dice.random() < 0.2 else world.dice.choice(_able(world, name))
    subnet = {"ip_address": ip}
    world.note(f"create port p{number} on {name} for {host or 'anywhere'}")
    made = world.create("port", name=f"p{number}", network_id=world.site.networks[name]["id"], fixed_ips=[subnet],
                        **({"binding:host_id": host} if host else {}))  # fmt: skip
    port = SoakPort(f"p{number}", made["id"], made["mac_address"], ip, name, host)
    world.ports[port.name] = port
    if world.dice.random() < 0.8:
        _plug(world, port, host or world.dice.choice(_able(world, name)))
    return True


def remove_port(world: World) -> bool:
    """Its VM goes first, or only then."""
    port = _some(world, lambda _: True)
    if port is None:
        return False
    vm_first = world.dice.random() < 0.6
    world.note(f"delete port {port.name}{'' if vm_first else ', then its VM'}")
    _remove(world, port, vm_first)
    return True


def burst(world: World) -> bool:
    """Many ports that hardly live."""
    if not world.types:
        return False
    name = world.dice.choice(sorted(world.types))
    host = world.dice.choice(_able(world, name))
    world.note(f"six short-lived ports on {name} at {host}")
    made = [world.create("port", name=f"b{world.number()}", network_id=world.site.networks[name]["id"],
                         **{"binding:host_id": host}) for _ in range(6)]  # fmt: skip
    for port in made:
        world.delete("port", port["id"])
    return True


def plug(world: World) -> bool:
    """A port without a VM gets one, mostly where it belongs."""
    port = _some(world, lambda port: port.place is None)
    if port is None:
        return False
    able = _able(world, port.network)
    wrong = world.dice.random() < 0.1
    node = world.dice.choice(able) if wrong or not port.host else port.host
    world.note(f"plug {port.name} in at {node}")
    return _plug(world, port, node)


def unplug(world: World) -> bool:
    """A VM ends."""
    port = _some(world, lambda port: port.place is not None)
    if port is None:
        return False
    world.note(f"unplug {port.name} from {port.place}")
    _unplug(world, port)
    return True


def move(world: World) -> bool:
    """To another node: binding and VM in either order."""
    port = _some(world, lambda port: port.place is not None and bool(port.host))
    if port is None:
        return False
    node = world.dice.choice(_able(world, port.network))
    order = world.dice.choice(("unplug bind plug", "bind unplug plug", "unplug plug bind"))
    world.note(f"move {port.name} from {port.host} to {node}: {order}")
    for word in order.split():
        if word == "unplug":
            _unplug(world, port)
        elif word == "plug":
            _plug(world, port, node)
        else:
            world.update("port", port.id, **{"binding:host_id": node})
            port.host = node
    return True


def admin_state(world: World) -> bool:
    """A port goes down or comes up."""
    port = _some(world, lambda _: True)
    if port is None:
        return False
    return _set_admin_state(world, port, not port.admin_up)


def up_again(world: World) -> bool:
    """Whatever is down comes up."""
    port = _some(world, lambda port: not port.admin_up)
    if port is None:
        return False
    return _set_admin_state(world, port, True)


def _set_admin_state(world: World, port: SoakPort, up: bool) -> bool:
    world.note(f"{port.name} administratively {'up' if up else 'down'}")
    world.update("port", port.id, admin_state_up=up)
    port.admin_up = up
    return True


def network_state(world: World) -> bool:
    """A network goes down or comes up."""
    down = sorted(name for name, is_up in world.network_up.items() if not is_up)
    if not world.types or (not down and world.dice.random() < 0.5):
        return False
    name = down[0] if down else world.dice.choice(sorted(world.types))
    world.note(f"network {name} administratively {'up' if down else 'down'}")
    world.update("network", world.site.networks[name]["id"], admin_state_up=bool(down))
    world.network_up[name] = bool(down)
    return True


def security(world: World) -> bool:
    """Port security on or off; without it there are no pairs."""
    port = _some(world, lambda _: True)
    if port is None:
        return False
    world.note(f"port security of {port.name} {'off' if port.security else 'on'}")
    more = {"allowed_address_pairs": []} if port.security else {}
    world.update("port", port.id, port_security_enabled=not port.security, **more)
    port.security, port.pair = not port.security, None
    return True


def pairs(world: World) -> bool:
    """One allowed address pair more or less."""
    port = _some(world, lambda port: port.security)
    if port is None:
        return False
    number = world.number()
    mac = f"02:00:5e:00:{number >> 8 & 255:02x}:{number & 255:02x}"
    pair = None if port.pair else (mac, f"192.168.9.{number % 250}")
    world.note(f"allowed pair of {port.name}: {pair}")
    wanted = [] if pair is None else [{"mac_address": pair[0], "ip_address": pair[1]}]
    world.update("port", port.id, allowed_address_pairs=wanted)
    port.pair = pair
    return True


def readdress(world: World) -> bool:
    """Another address, and the VM starts anew with it."""
    port = _some(world, lambda port: port.place is not None)
    number = world.number()
    if port is None:
        return False
    ip = world.site.cidrs[port.network].replace(".0/24", f".{10 + number % 240}")
    if any(other.ip == ip and other.network == port.network for other in world.ports.values()):
        return False
    world.note(f"address of {port.name} is {ip} now")
    place = str(port.place)
    _unplug(world, port)
    world.update("port", port.id, fixed_ips=[{"ip_address": ip}])
    port.ip = ip
    return _plug(world, port, place)


def link(world: World) -> bool:
    """The link of a VM on a switch goes down or comes up."""
    port = _some(world, lambda port: port.place in SWITCHES)
    if port is None:
        return False
    world.note(f"link of {port.name} {'down' if port.link_up else 'up'}")
    world.site.vms[port.vm].site.set_link(port.vm, not port.link_up)
    port.link_up = not port.link_up
    return True


def _able(world: World, network: str) -> tuple[str, ...]:
    return SWITCHES if world.types[network] == "geneve" else NODES


def _some(world: World, which: Callable[[SoakPort], bool]) -> SoakPort | None:
    found = [port for _, port in sorted(world.ports.items()) if which(port)]
    return world.dice.choice(found) if found else None


def _plug(world: World, port: SoakPort, node: str) -> bool:
    if sum(other.place is not None for other in world.ports.values()) >= MOST_VMS:
        return False
    body = {"id": port.id, "mac_address": port.mac, "fixed_ips": [{"ip_address": port.ip}]}
    world.site.plug(body, port.network, node, port.vm)
    port.place = node
    return True


def _unplug(world: World, port: SoakPort) -> None:
    world.site.unplug(world.site.vms[port.vm])
    port.place, port.link_up = None, True


def _remove(world: World, port: SoakPort, vm_first: bool) -> None:
    if vm_first and port.place is not None:
        _unplug(world, port)
    world.delete("port", port.id)
    if port.place is not None:
        _unplug(world, port)
    del world.ports[port.name]


OPERATIONS: tuple[Callable[[World], bool], ...] = (
    *(add_network, add_port, add_port, add_port, remove_network, remove_port, burst, plug, plug, plug, unplug),
    *(move, move, move, admin_state, up_again, network_state, security, pairs, readdress, link),
)
