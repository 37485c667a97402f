"""Network namespaces and interfaces without starting processes: ctypes for namespaces, pyroute2 for links.

Forking is slow in a User Mode Linux guest (``ip netns exec`` costs 57 ms there), and the same code runs on both
sides.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from pyroute2 import IPRoute

NETNS_DIRECTORY = Path("/run/netns")
"""Where ``ip netns`` looks for names."""

_CLONE_NEWNET, _MS_BIND, _MNT_DETACH = 0x40000000, 0x1000, 2
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17

_libc = ctypes.CDLL(None, use_errno=True)


def create(name: str) -> None:
    """Make a named network namespace with loopback up and IPv6 off (so that nothing speaks unasked)."""
    NETNS_DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = NETNS_DIRECTORY / name
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        path.touch(exist_ok=False)
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        _check(_libc.mount(b"/proc/thread-self/ns/net", str(path).encode(), b"none", _MS_BIND, None), "mount")
    finally:
        _check(_libc.setns(home, _CLONE_NEWNET), "setns")
        os.close(home)
    silence_ipv6(name)
    set_link(name, "lo", up=True)


def remove(name: str) -> None:
    """Forget a named namespace; the kernel ends it once nothing uses it."""
    path = NETNS_DIRECTORY / name
    _libc.umount2(str(path).encode(), _MNT_DETACH)
    path.unlink()


@contextlib.contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Run the block in a namespace (None: where we are). Sockets opened there belong to it for good.

    Only the calling thread moves.
    """
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    target = os.open(NETNS_DIRECTORY / name, os.O_RDONLY)
    try:
        _check(_libc.setns(target, _CLONE_NEWNET), f"setns {name}")
        try:
            yield
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET), "setns")
    finally:
        os.close(home)
        os.close(target)


@contextlib.contextmanager
def route(name: str | None) -> Iterator[IPRoute]:
    """A netlink handle that lives in a namespace."""
    with inside(name), IPRoute() as handle:
        yield handle


def index(handle: IPRoute, interface: str) -> int:
    """The number of an interface; raises LookupError when there is none of that name."""
    found = handle.link_lookup(ifname=interface)
    if not found:
        raise LookupError(f"no interface {interface!r}")
    return int(found[0])


def veth(near: tuple[str | None, str], far: tuple[str, str], mac: str | None = None) -> None:
    """A veth pair between ``(namespace, interface)`` ends, both up, checksum offload off.

    A checksum left to the hardware is never finished on the way through a packet socket: TCP would stall.
    ``mac`` is the address of the far end.
    """
    (near_namespace, near_name), (far_namespace, far_name) = near, far
    peer = {"ifname": far_name, "net_ns_fd": str(NETNS_DIRECTORY / far_namespace)}
    if mac is not None:
        peer["address"] = mac
    with route(near_namespace) as handle:
        handle.link("add", ifname=near_name, kind="veth", peer=peer)
    for namespace, interface in (near, far):
        set_link(namespace, interface, up=True)
        checksum_offload_off(namespace, interface)


def bridge(namespace: str | None, name: str) -> None:
    """A Linux bridge that forwards every frame, tagged or not, and says nothing of its own."""
    with route(namespace) as handle:
        handle.link("add", ifname=name, kind="bridge", br_mcast_snooping=0, br_forward_delay=0, br_stp_state=0)
        handle.link("set", index=index(handle, name), state="up")


def enslave(namespace: str | None, interface: str, bridge_name: str) -> None:
    """Make an interface a port of a bridge of the same namespace, and bring it up."""
    with route(namespace) as handle:
        handle.link("set", index=index(handle, interface), master=index(handle, bridge_name), state="up")


def set_link(namespace: str | None, interface: str, *, up: bool, mtu: int | None = None) -> None:
    """Bring an interface up or down, and set its MTU."""
    with route(namespace) as handle:
        number = index(handle, interface)
        if mtu is not None:
            handle.link("set", index=number, mtu=mtu)
        handle.link("set", index=number, state="up" if up else "down")


def delete_link(namespace: str | None, interface: str) -> None:
    """Delete an interface (of a veth pair: both ends)."""
    with route(namespace) as handle:
        handle.link("del", index=index(handle, interface))


def add_address(namespace: str | None, interface: str, cidr: str) -> None:
    """Give an interface an address, e.g. ``10.0.0.1/24``. IPv6 is switched on for that."""
    address, _, length = cidr.partition("/")
    if ":" in address:
        for key in ("accept_ra", "accept_dad", "disable_ipv6"):
            sysctl(namespace, f"ipv6/conf/{interface}/{key}", "0")
    with route(namespace) as handle:
        handle.addr("add", index=index(handle, interface), address=address, prefixlen=int(length))


def remove_address(namespace: str | None, interface: str, cidr: str) -> None:
    """Take an address from an interface."""
    address, _, length = cidr.partition("/")
    with route(namespace) as handle:
        handle.addr("del", index=index(handle, interface), address=address, prefixlen=int(length))


def checksum_offload_off(namespace: str | None, interface: str) -> None:
    """What ``ethtool -K INTERFACE tx off`` does, by its ioctl."""
    with inside(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        value = array.array("B", struct.pack("II", _ETHTOOL_STXCSUM, 0))
        fcntl.ioctl(channel, _SIOCETHTOOL, struct.pack("16sP", interface.encode(), value.buffer_info()[0]))


def kernel_lacks() -> dict[str, str]:
    """What legacy hosts need and this kernel has not: device kind -> error. Tried out in a throw-away namespace."""
    name = f"probe-{os.getpid()}"
    create(name)
    try:
        with route(name) as handle:
            handle.link("add", ifname="under", kind="bridge")
            number = index(handle, "under")
            wanted = {
                "vlan": {"link": number, "vlan_id": 2},
                "gretap": {"gre_local": "127.0.0.1", "gre_remote": "127.0.0.2"},
                "vxlan": {"vxlan_id": 2, "vxlan_port": 4789},
            }
            return {kind: error for kind, options in wanted.items() if (error := _try(handle, kind, options))}
    finally:
        remove(name)


def _try(handle: IPRoute, kind: str, options: dict[str, object]) -> str:
    try:
        handle.link("add", ifname=f"try-{kind}", kind=kind, **options)
    except Exception as error:  # netlink libraries wrap what the kernel says in several classes
        return str(error)
    return ""


def sysctl(name: str | None, key: str, value: str) -> None:
    """Set a ``net`` parameter of a namespace, e.g. ``ipv4/conf/all/arp_ignore``."""
    with inside(name):
        Path("/proc/sys/net", key).write_text(value)


def silence_ipv6(name: str | None) -> None:
    """No router solicitations and the like from a namespace's interfaces, present and future."""
    for scope in ("all", "default"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            sysctl(name, f"ipv6/conf/{scope}/disable_ipv6", "1")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
