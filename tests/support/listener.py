"""Packet sockets that hear and send whole frames, with the VLAN tag where the kernel took it off."""

from __future__ import annotations

import socket
import struct

from tests.support.netns import inside

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_SO_RCVBUFFORCE = 33
_TP_STATUS_VLAN_VALID = 0x10
_AUXDATA = struct.Struct("=IIIHHHH")
_MAX_FRAME = 65536
_BUFFER = 4 << 20


class Listener:
    """An AF_PACKET socket on one interface of one namespace. The kernel queues frames until :meth:`frames` reads."""

    def __init__(self, namespace: str | None, interface: str, *, outgoing: bool = False) -> None:
        """``outgoing``: also hear what leaves by the interface."""
        self._outgoing = outgoing
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.bind((interface, 0))
        self._socket.setblocking(False)
        self.frames()

    def send(self, frame: bytes) -> None:
        """Put a whole frame on the interface; frames for an interface that is down are lost, as on a real one."""
        try:
            self._socket.send(frame)
        except OSError as error:
            if error.errno not in (100, 105):  # ENETDOWN, ENOBUFS
                raise

    def frames(self) -> list[bytes]:
        """Every frame since the last call, in order, a VLAN tag put back where it was."""
        heard = []
        while True:
            try:
                frame, ancillary, _, address = self._socket.recvmsg(_MAX_FRAME, 256)
            except BlockingIOError:
                return heard
            except OSError as error:
                if error.errno != 100:  # ENETDOWN is told once after the interface went down
                    raise
                continue
            if self._outgoing or address[2] != socket.PACKET_OUTGOING:
                heard.append(_with_tag(frame, ancillary))

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop hearing."""
        self._socket.close()


def _with_tag(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    for level, kind, data in ancillary:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            status, _, _, _, _, tci, protocol = _AUXDATA.unpack(data[: _AUXDATA.size])
            if status & _TP_STATUS_VLAN_VALID:
                return frame[:12] + struct.pack("!HH", protocol or 0x8100, tci) + frame[12:]
    return frame
