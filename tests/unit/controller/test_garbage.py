"""When cyclic garbage is looked for, and that what is set aside is found again."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace

import pytest

from controller import garbage
from controller.garbage import Memory, Step, decide, measure

CALM = Memory(1_000_000, 1 << 30)


@pytest.mark.parametrize(
    ("now", "full", "due", "step"),
    [
        (CALM, CALM, False, Step.NOTHING),
        (CALM, CALM, True, Step.RECENT),
        (CALM, None, True, Step.RECENT),
        (replace(CALM, blocks=CALM.blocks + garbage.MANY + 1), CALM, False, Step.SET_ASIDE),
        (replace(CALM, blocks=CALM.blocks + garbage.MANY + 1), CALM, True, Step.SET_ASIDE),
        (replace(CALM, resident=2 << 30), CALM, True, Step.EVERYTHING),
        (replace(CALM, resident=2 << 30), CALM, False, Step.NOTHING),
        (replace(CALM, resident=2 << 30), None, True, Step.RECENT),
        (Memory(CALM.blocks, 200 << 20), Memory(CALM.blocks, 100 << 20), True, Step.RECENT),
    ],
)
def test_decisions(now: Memory, full: Memory | None, due: bool, step: Step) -> None:
    assert decide(now, CALM, full, due) is step


def test_measuring() -> None:
    before = measure()
    kept = [object() for _ in range(100_000)]
    assert measure().blocks - before.blocks > len(kept) // 2
    assert measure().resident > 1 << 20


PROGRAM = """
import gc, weakref
from controller.garbage import Step, _carry_out

class Node:
    pass

def cycle():
    one, other = Node(), Node()
    one.peer, other.peer = other, one
    return one

gc.disable()
kept = cycle()
_carry_out(Step.SET_ASIDE)
seen = weakref.ref(kept)
del kept
young = weakref.ref(cycle())
_carry_out(Step.RECENT)
assert young() is None, "garbage that was not set aside is found"
assert seen() is not None, "what was set aside is not looked at"
_carry_out(Step.EVERYTHING)
assert seen() is None, "everything is looked at"
"""


def test_what_was_set_aside_is_found_when_everything_is_looked_at() -> None:
    assert gc.get_freeze_count() == 0  # this process is left alone
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_storm_of_switches_brings_is_set_aside() -> None:
    now, done = [0.0], list[float]()
    arrivals = garbage.Arrivals(lambda: now[0], lambda: done.append(now[0]))
    for _ in range(4 * garbage.STORM):
        now[0] += garbage.STORM_LASTS / garbage.STORM / 2
        arrivals.one_more()
    assert len(done) == 4


def test_switches_that_come_now_and_then_are_looked_at_like_all_else() -> None:
    now, done = [0.0], list[float]()
    arrivals = garbage.Arrivals(lambda: now[0], lambda: done.append(now[0]))
    for _ in range(4 * garbage.STORM):
        now[0] += 2 * garbage.STORM_LASTS / garbage.STORM
        arrivals.one_more()
    assert not done
