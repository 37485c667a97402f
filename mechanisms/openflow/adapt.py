"""Programs for switches that lack something which there is another way to do.

Without indirect groups a next hop is an ALL group with one bucket; without fast-failover groups it has the best port
only, and the controller sees to the alternative; without the fields that port security looks at there is none (ports
that ask for it are not bound there).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from controller.dataplane.values import Flow, Fragment, Group, GroupType, Program
from controller.model import Node
from mechanisms.openflow.features import FAST_FAILOVER, INDIRECT, PORT_SECURITY
from mechanisms.openflow.pipeline import PORT_SECURITY as TABLE


@dataclass(frozen=True, slots=True)
class Shortcomings:
    """What a switch lacks, see :mod:`mechanisms.openflow.features`."""

    indirect: bool = False
    fast_failover: bool = False
    port_security: bool = False

    @classmethod
    def of(cls, node: Node) -> Shortcomings:
        """Those of a node."""
        lacking = [feature in node.limits for feature in (INDIRECT, FAST_FAILOVER, PORT_SECURITY)]
        return cls(*lacking) if any(lacking) else NONE

    def __bool__(self) -> bool:
        return self.indirect or self.fast_failover or self.port_security


NONE = Shortcomings()


@dataclass
class Adapter:
    """Adapts the programs of one switch; fragments that did not change are adapted once."""

    _known: dict[Hashable, tuple[Fragment, Fragment]] = field(default_factory=dict)
    _lacking: Shortcomings = field(default=NONE)

    def adapt(self, program: Program, lacking: Shortcomings) -> Program:
        """The program without what the switch lacks."""
        if lacking != self._lacking:
            self._known, self._lacking = {}, lacking
        last, self._known = self._known, {}
        for key, fragment in program.fragments.items():
            known = last.get(key)
            same = known is not None and known[0] is fragment
            self._known[key] = known if known is not None and same else (fragment, _adapted(fragment, lacking))
        return Program.of(program.revision, [adapted for _, adapted in self._known.values()])


def _adapted(fragment: Fragment, lacking: Shortcomings) -> Fragment:
    flows = tuple(flow for flow in fragment.flows if not (lacking.port_security and _is_check(flow)))
    return Fragment(fragment.key, flows, tuple(_group(group, lacking) for group in fragment.groups), fragment.meters)


def _is_check(flow: Flow) -> bool:
    """Whether the flow looks at what secured ports send; those for the others have nothing but the bit to match."""
    return flow.table == TABLE.id and bool({match.name for match in flow.match} - {"metadata", "in_port"})


def _group(group: Group, lacking: Shortcomings) -> Group:
    if group.type is GroupType.FAST_FAILOVER and lacking.fast_failover:
        best = replace(group.buckets[0], watch_port=None)
        group = replace(group, type=GroupType.INDIRECT, buckets=(best,))
    return without_indirect(group) if lacking.indirect else group


def without_indirect(group: Group) -> Group:
    """The same with one bucket of another type, if it is an indirect group."""
    return replace(group, type=GroupType.ALL) if group.type is GroupType.INDIRECT else group
