"""Wake-ups from the kernel: something changed on a link, an address or in nftables. Content is not read; the agent
compares everything anyway (level-triggered), so a lost or merged event costs nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

_NETLINK_NETFILTER = 12
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_NFNLGRP_NFTABLES = 1 << (7 - 1)


def open_route_events() -> socket.socket:
    """A socket that hears of links (bridge ports too) and addresses of this network namespace."""
    return _subscribed(socket.NETLINK_ROUTE, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR)


def open_nftables_events() -> socket.socket:
    """A socket that hears of changes of nftables rules; raises ``OSError`` where the kernel has none."""
    return _subscribed(_NETLINK_NETFILTER, _NFNLGRP_NFTABLES)


def watch(events: socket.socket, notify: Callable[[], None]) -> None:
    """Call ``notify`` after each event, until the socket is closed."""
    while True:
        try:
            events.recv(65536)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # overrun: events were lost, so look at everything
                return
        notify()


def _subscribed(protocol: int, groups: int) -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    events.bind((0, groups))
    return events
