"""Allocation of an id from a pool of 2^24: empty against 99 % full, the free ids scattered, or all in one place.

``python -m bench.allocation``.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from bench import bed
from bench.results import Result
from controller import config
from controller.db.migrate import migrate
from controller.db.session import Store
from typedrivers.intervals import Interval, Pool
from typedrivers.manager import TypeManager
from typedrivers.pools import IdPool
from typedrivers.vxlan import VxlanTypeDriver

LAST = 2**24 - 1
TIMES = 1_000
BAR = "99 % full under 2 times an empty pool"
FREE: dict[str, str] = {
    "scattered": "n % 100 = 50",
    "in one place": f"n BETWEEN {LAST // 2} AND {LAST // 2 + LAST // 100}",
}
"""How the free ids lie -> SQL condition that chooses them."""


def run() -> Result:
    """Both fillings against the empty pool."""
    result = Result("allocation", BAR)
    empty = _measured("TRUE")
    result.add("a transaction that takes one id, empty pool", "-", _shown(empty))
    for name, free in FREE.items():
        full = _measured(free)
        ratios = [statistics.median(there) / statistics.median(here)
                  for there, here in ((full.whole, empty.whole), (full.alone, empty.alone))]  # fmt: skip
        mean = statistics.mean(full.cpu) / statistics.mean(empty.cpu)
        result.add(f"99 % full, free ids {name}", _shown(empty), _shown(full),
                   f"{ratios[0]:.2f} x (alone {ratios[1]:.2f} x, mean CPU {mean:.2f} x)")  # fmt: skip
        result.judge(ratios[0] < 2 and mean < 2)
    return result


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of whole transactions, of the allocation within them, and of CPU of the transactions."""

    whole: list[float]
    alone: list[float]
    cpu: list[float]


def _shown(times: Times) -> str:
    whole, alone = (statistics.median(item) * 1e3 for item in (times.whole, times.alone))
    cpu = statistics.mean(times.cpu) * 1e3
    return f"median {whole:.2f} ms (the allocation alone {alone:.2f} ms; mean CPU {cpu:.2f} ms)"


def _measured(free: str) -> Times:
    """With only the ids ``free`` free."""
    TypeManager.load(config.load())
    bed.DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = bed.DIRECTORY / f"pool-{uuid.uuid4()}.sqlite"
    store = Store(f"sqlite:///{path}")
    migrate(store.engine)
    table = VxlanTypeDriver.table
    pool = IdPool(table, "tunnel_id", Pool.of([Interval(1, LAST)]))
    _fill(store, free, table.name)
    try:
        return _timed(store, pool.take_any)
    finally:
        store.dispose()
        path.unlink()


def _fill(store: Store, free: str, table: str) -> None:
    """Rows for every id that is not free."""
    numbers = f"WITH RECURSIVE ids(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM ids WHERE n < {LAST})"
    insert = f"INSERT INTO {table} (tunnel_id, segment_id) {numbers} SELECT n, '' FROM ids WHERE NOT ({free})"
    if free != "TRUE":
        with store.engine.execution_options(isthmus_write=True).begin() as connection:
            connection.execute(text(insert))


def _timed(store: Store, take: Callable[..., int | None]) -> Times:
    times = Times([], [], [])
    for _ in range(TIMES):
        began, cpu = time.perf_counter(), time.thread_time()

        def work(transaction: object) -> float:
            inner = time.perf_counter()
            if take(transaction.session, str(uuid.uuid4())) is None:  # type: ignore[attr-defined]
                raise RuntimeError("the pool is exhausted")
            return time.perf_counter() - inner

        times.alone.append(store.write(work))
        times.whole.append(time.perf_counter() - began)
        times.cpu.append(time.thread_time() - cpu)
    return times


if __name__ == "__main__":
    from bench.all import single

    sys.exit(single("allocation", run))
