"""A writer whose threads are eventlet's, as under osken-manager: ``python -m tests.db.green_writer URL``.

Waits for a line, writes once, and says as JSON how long that took and the longest time that another green thread,
which wants to run every 10 ms, was kept from it.
"""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from controller.db.session import Store  # noqa: E402
from controller.db.transaction import STATUS  # noqa: E402

TICK = 0.01


def main(url: str) -> None:
    """Write."""
    store, written, gaps = Store(url), threading.Event(), [0.0]

    def tick() -> None:
        while not written.is_set():
            began = time.monotonic()
            time.sleep(TICK)
            gaps.append(time.monotonic() - began)

    with store.read():
        print("ready", flush=True)
    sys.stdin.readline()
    threading.Thread(target=tick, daemon=True).start()
    time.sleep(0)
    began = time.monotonic()
    store.write(lambda transaction: transaction.touch_id("port", "x", STATUS))
    seconds = time.monotonic() - began
    written.set()
    time.sleep(2 * TICK)  # the other one has its turn, and sees how late it is
    print(json.dumps({"seconds": seconds, "longest_gap": max(gaps)}), flush=True)
    store.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
