"""The agent says by LLDP (IEEE 802.1AB-2016) which host hangs on a cable, so that the controller knows behind which
switch port each legacy host is without being told.

A frame goes out of every uplink at the start and then regularly; nothing is listened to. The kernel's bridges do not
forward it.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterable
from hashlib import blake2b

LOG = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds between two announcements."""

TTL = 40
"""Seconds that a listener may keep what it heard: three may get lost."""

ETHERTYPE = 0x88CC
_NEAREST_BRIDGE = bytes.fromhex("0180c200000e")
_CHASSIS, _PORT, _TTL, _SYSTEM_NAME, _ORGANIZATION = 1, 2, 3, 5, 127
_OURS = bytes.fromhex("0a157102")
"""A locally administered OUI and the subtype of announcements."""
_LOCAL, _INTERFACE_NAME = 7, 5
_MAC_LENGTH = 6


def announcement(host: str, interface: str, mac: bytes, sequence: int, key: bytes) -> bytes:
    """The frame: chassis and system name are the host's name as the controller knows it, the port is the interface.

    ``key`` is what the agent's report tells the controller; ``sequence`` only ever grows while it is used.
    """
    name, port = host.encode()[:255], interface.encode()[:255]
    said = struct.pack("!Q", sequence) + name + b"\0" + port
    digest = blake2b(said, key=key, digest_size=16, person=b"isthmus-host").digest()
    body = _tlv(_CHASSIS, bytes([_LOCAL]) + name) + _tlv(_PORT, bytes([_INTERFACE_NAME]) + port)
    body += _tlv(_TTL, struct.pack("!H", TTL)) + _tlv(_SYSTEM_NAME, name)
    body += _tlv(_ORGANIZATION, _OURS + struct.pack("!Q", sequence) + digest) + _tlv(0, b"")
    return (_NEAREST_BRIDGE + mac + struct.pack("!H", ETHERTYPE) + body).ljust(60, b"\0")


def announce(host: str, interfaces: Iterable[str], sequence: int, key: bytes, failed: set[str]) -> None:
    """Send an announcement out of each interface. ``failed`` keeps what is known not to work: it is logged once."""
    for interface in interfaces:
        try:
            _send(host, interface, sequence, key)
        except OSError as error:
            if interface not in failed:
                LOG.warning("no LLDP on %s: %s", interface, error.strerror or error)
            failed.add(interface)
        else:
            failed.discard(interface)


def _send(host: str, interface: str, sequence: int, key: bytes) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as channel:
        channel.bind((interface, 0))
        mac = channel.getsockname()[4]
        if len(mac) != _MAC_LENGTH:
            raise OSError("it is no Ethernet interface")
        channel.send(announcement(host, interface, mac, sequence, key))


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind << 9 | len(value)) + value
