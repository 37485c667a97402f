"""Plans for the agent's unit tests, and random ones."""

from __future__ import annotations

from hypothesis import strategies as st

from legacy_agent.drivers.api import HostSettings
from legacy_agent.host_plan import AllowedAddress, HostNetwork, HostPort, RemoteAddress, device_name

SETTINGS = HostSettings("rack7", {"physnet1": "eth0", "physnet2": "eth2"}, "192.0.2.1")
PEERS = ("192.0.2.2", "192.0.2.3")
PORT_IDS = tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 5))
TAPS = tuple(map(device_name, PORT_IDS))
SEGMENTS = (
    ("local", None, None),
    ("flat", "physnet1", None),
    ("vlan", "physnet1", 100),
    ("vlan", "physnet2", 100),
    ("gre", None, 77),
    ("vxlan", None, 77),
)


def port(number: int = 0, **changes: object) -> HostPort:
    """A secured port."""
    mac = f"fa:16:3e:00:00:{number:02x}"
    allowed = (AllowedAddress(mac, f"10.0.0.{number}"), AllowedAddress(mac, f"2001:db8::{number:x}"))
    values = {"macs": (mac,), "allowed": allowed, **changes}
    return HostPort(PORT_IDS[number], mac, **values)  # type: ignore[arg-type]


def network(number: int = 1, network_type: str = "vxlan", physical_network: str | None = None,
            segmentation_id: int | None = 77, *ports: HostPort, **changes: object) -> HostNetwork:  # fmt: skip
    """A network with two peers, where its type has peers."""
    tunnel = network_type in ("gre", "vxlan")
    values = {
        "ports": ports,
        "peers": PEERS if tunnel else (),
        "remotes": (RemoteAddress("fa:16:3e:00:01:01", PEERS[0]),) if tunnel else (),
        **changes,
    }
    return HostNetwork(f"{number:08x}-aaaa-4000-8000-000000000000", "linuxbridge", network_type, physical_network,
                       segmentation_id, 1450, **values)  # type: ignore[arg-type]  # fmt: skip


@st.composite
def plans(draw: st.DrawFn) -> tuple[HostNetwork, ...]:
    """Networks on different segments, each port on at most one; segments move between networks from plan to plan."""
    segments = draw(st.lists(st.sampled_from(SEGMENTS), unique=True, max_size=4))
    numbers = draw(st.permutations(range(1, 5)))
    homes = draw(st.lists(st.integers(0, 3), min_size=len(PORT_IDS), max_size=len(PORT_IDS)))
    return tuple(
        _network(draw, number, segment, [index for index, home in enumerate(homes) if home == place])
        for place, (number, segment) in enumerate(zip(numbers, segments, strict=False))
    )


def _network(
    draw: st.DrawFn, number: int, segment: tuple[str, str | None, int | None], ports: list[int]
) -> HostNetwork:
    tunnel = segment[0] in ("gre", "vxlan")
    peers = draw(st.lists(st.sampled_from(PEERS), unique=True)) if tunnel else []
    macs = draw(st.lists(st.integers(1, 3), unique=True)) if peers else []
    remotes = [RemoteAddress(f"fa:16:3e:00:01:{mac:02x}", draw(st.sampled_from(peers))) for mac in macs]
    return network(
        number,
        *segment,
        *(port(index, admin_state_up=draw(st.booleans()), port_security=draw(st.booleans())) for index in ports),
        peers=tuple(peers),
        remotes=tuple(remotes),
    )
