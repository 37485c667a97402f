"""What really is on the wires of the underlay."""

from __future__ import annotations

import time

from tests.support.ethernet import Seen, decode
from tests.support.listener import Listener
from tests.support.underlay import Wiring


class Capture:
    """Records both directions of a node's NIC from the underlay's side, from its making until :meth:`close`."""

    def __init__(self, wiring: Wiring, nic: str) -> None:
        self._listener = Listener(None, wiring.far_end(nic), outgoing=True)
        self._seen: list[Seen] = []

    def seen(self) -> list[Seen]:
        """Every frame so far."""
        self._seen += [decode(frame) for frame in self._listener.frames()]
        return self._seen

    def find(self, frame: bytes, timeout: float = 2.0) -> list[Seen]:
        """The occurrences of a frame that a VM sent: tagged, encapsulated or as it was."""
        end = time.monotonic() + timeout
        while True:
            found = [seen for seen in self.seen() if seen.carries(frame)]
            if found or time.monotonic() > end:
                return found
            time.sleep(0.02)

    def close(self) -> None:
        """Stop."""
        self._listener.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
