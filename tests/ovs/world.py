"""What the scenarios of the southbound's tests work with; to be imported in the driver process only."""

from __future__ import annotations

import time
from collections.abc import Callable

from controller.model import NodeFacts, Observation, switch_node_id
from controller.southbound.service import Southbound
from controller.switches import Rejection
from tests.ovs.switchbed import SwitchBed
from tests.support.client import PATIENCE


class Events:
    """Remembers what the southbound tells."""

    def __init__(self) -> None:
        self.reports: list[tuple[NodeFacts, Observation]] = []
        self.lost: list[str] = []
        self.rejections: list[Rejection] = []

    def switch_ready(self, facts: NodeFacts, observation: Observation) -> None:
        self.reports.append((facts, observation))

    def switch_lost(self, node_id: str) -> None:
        self.lost.append(node_id)

    def switch_rejected(self, node_id: str, rejection: Rejection) -> None:
        self.rejections.append(rejection)


class World:
    """What a scenario works with."""

    def __init__(self, bed: SwitchBed, southbound: Southbound, events: Events) -> None:
        self.bed = bed
        self.southbound = southbound
        self.events = events

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
        """Wait until the condition holds; AssertionError with ``what`` otherwise; ``timeout`` on an idle one."""
        timeout *= PATIENCE
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {what}; {self.southbound.states()}")
            time.sleep(0.01)

    def switch(self, protocols: str = "OpenFlow13,OpenFlow14", name: str = "br0", datapath_id: int = 1) -> str:
        """Make a bridge, connect it, wait until it is ready; its node id."""
        self.bed.add_bridge(name, datapath_id, protocols)
        return self.connect(name, datapath_id)

    def connect(self, name: str = "br0", datapath_id: int = 1) -> str:
        """Connect a bridge and wait until it is ready."""
        self.bed.connect(name)
        node_id = switch_node_id(datapath_id)
        self.wait(lambda: self.state(node_id) == "ready", f"{node_id} is ready")
        return node_id

    def reconnect(self, name: str = "br0", datapath_id: int = 1) -> str:
        """Let the bridge leave and come back."""
        self.bed.disconnect(name)
        self.wait(lambda: self.state(switch_node_id(datapath_id)) == "gone", "the switch is gone")
        return self.connect(name, datapath_id)

    def state(self, node_id: str) -> str:
        state = self.southbound.state(node_id)
        return state.state if state is not None else ""

    def last(self) -> tuple[NodeFacts, Observation]:
        """The last report."""
        return self.events.reports[-1]
