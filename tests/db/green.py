"""A follower whose threads are eventlet's, as under osken-manager: ``python -m tests.db.green URL``.

Says ``listening``, then as JSON what it was told of the next commit, and the longest time that another green thread,
which wants to run every 10 ms, was kept from it.
"""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from controller.db.feed import StoreFeed  # noqa: E402
from controller.db.session import Store  # noqa: E402

TICK = 0.01


def main(url: str) -> None:
    """Follow until something new was told."""
    store, told, known = Store(url), threading.Event(), threading.Event()
    found: list[tuple[int, float]] = []
    gaps = [0.0]

    def hear(revision: int) -> None:
        found.append((revision, time.time()))
        (told if known.is_set() else known).set()

    def tick() -> None:
        while not told.is_set():
            began = time.monotonic()
            time.sleep(TICK)
            gaps.append(time.monotonic() - began)

    StoreFeed(store).subscribe(hear)
    known.wait(10)
    threading.Thread(target=tick, daemon=True).start()
    print("listening", flush=True)
    told.wait(20)
    said = {"revision": found[-1][0], "at": found[-1][1], "longest_gap": max(gaps), "writers": store.writers}
    print(json.dumps(said), flush=True)
    store.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
