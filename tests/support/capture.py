"""What really is on the wires of the underlay."""

from __future__ import annotations

import time

from tests.support.ethernet import Seen, decode
from tests.support.listener import Listener
from tests.support.underlay import Wiring

_FURTHER = 0.1


class Capture:
    """Records both directions of a node's NIC from the underlay's side, from its making until :meth:`close`."""

    def __init__(self, wiring: Wiring, nic: str) -> None:
        self._listener = Listener(None, wiring.far_end(nic), outgoing=True)
        self._seen: list[Seen] = []

    def seen(self) -> list[Seen]:
        """Every frame so far."""
        self._seen += [decode(frame) for frame in self._listener.frames()]
        return self._seen

    def find(self, frame: bytes, timeout: float = 10.0) -> list[Seen]:
        """The occurrences of a frame that a VM sent: tagged, encapsulated or as it was. Further ones follow the first
        at once, or within :data:`_FURTHER` seconds on a busy machine."""
        end = time.monotonic() + timeout
        while not self._carrying(frame) and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(_FURTHER)
        return self._carrying(frame)

    def _carrying(self, frame: bytes) -> list[Seen]:
        return [seen for seen in self.seen() if seen.carries(frame)]

    def close(self) -> None:
        """Stop."""
        self._listener.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
