"""Wake-ups from the kernel: something changed on a link, an address or in nftables. Content is not read; the agent
compares everything anyway (level-triggered), so a lost or merged event costs nothing."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable

from legacy_agent.netlink.messages import messages
from legacy_agent.netlink.nft import NFPROTO_BRIDGE

LOG = logging.getLogger(__name__)

_NETLINK_NETFILTER = 12
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_NFNLGRP_NFTABLES = 1 << (7 - 1)


def open_route_events() -> socket.socket:
    """A socket that hears of links (bridge ports too) and addresses of this network namespace."""
    return _subscribed(socket.NETLINK_ROUTE, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR)


def open_nftables_events() -> socket.socket:
    """A socket that hears of changes of nftables rules; raises ``OSError`` where the kernel has none."""
    return _subscribed(_NETLINK_NETFILTER, _NFNLGRP_NFTABLES)


def everything(data: bytes) -> bool:  # noqa: ARG001
    """Any event concerns us."""
    return True


def of_bridges(data: bytes) -> bool:
    """Whether there is an event of nftables' bridge family in what was received: others change their rules often."""
    return any(event.body[:1] == bytes([NFPROTO_BRIDGE]) for event in messages(data))


def watch(events: socket.socket, notify: Callable[[], None], concerns: Callable[[bytes], bool] = everything) -> None:
    """Call ``notify`` after each event that concerns us, until the socket is closed or useless."""
    while True:
        try:
            data = events.recv(65536)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                LOG.warning("no more events from the kernel (%s); changes are found by the audit only", error)
                return
            notify()  # overrun: events were lost, so look at everything
        else:
            if concerns(data):
                notify()


def _subscribed(protocol: int, groups: int) -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    events.bind((0, groups))
    return events
