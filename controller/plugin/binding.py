"""Binding: on which node a port is realised, by which mechanism and segment; or why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from neutron_lib.api.definitions import portbindings
from sqlalchemy import ColumnElement, Table, bindparam, delete, or_, select
from sqlalchemy.orm import Session, joinedload

from controller.db.locks import hold
from controller.db.models import BindingRow, InactiveBindingRow, NetworkRow, NodeRow, PortRow
from controller.db.once import once
from controller.db.transaction import Transaction
from controller.db.values import local_links, network_value, node_value, port_value
from controller.local_links import switch_number
from controller.model import Network, Node, Port, switch_node_id
from controller.plugin import places, routed
from controller.plugin.routed import Segments
from controller.turns import in_turns
from mechanisms.api import Bound
from typedrivers.intervals import Interval
from typedrivers.pools import UsedIds

PORT_KEYS = Interval(1, 0xF0000 - 1)
REALISED_VNIC_TYPES = (portbindings.VNIC_NORMAL, portbindings.VNIC_BAREMETAL)
NOT_BOUND = (portbindings.VIF_TYPE_UNBOUND, portbindings.VIF_TYPE_BINDING_FAILED)
NAMED_HOSTS = 10

NODES = (
    select(NodeRow)
    .order_by(NodeRow.id != bindparam("present"), NodeRow.key)
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)
BY_ID, BY_HOST = NODES.where(NodeRow.id == bindparam("wanted")), NODES.where(NodeRow.host == bindparam("wanted"))
"""The nodes where a port may be; the one where it is already, ``present``, first. What was read of them before they
were locked does not count."""

BINDINGS = cast(Table, BindingRow.__table__).c
HIGHEST_KEY = (
    select(BINDINGS.port_key)
    .where(BINDINGS.node_id == bindparam("node"), BINDINGS.port_key.between(PORT_KEYS.first, PORT_KEYS.last))
    .order_by(BINDINGS.port_key.desc())
    .limit(1)
)

NOT_ASKED = "not bound: binding:host_id is empty and no endpoint has been plugged in"


class Decision(Protocol):
    """What the mechanism drivers say: ``bound`` by ``mechanism``, or the ``refusal``."""

    @property
    def bound(self) -> Bound | None: ...
    @property
    def mechanism(self) -> str: ...
    @property
    def refusal(self) -> str: ...


class Mechanisms(Protocol):
    """The part of :class:`mechanisms.manager.MechanismManager` that is needed here."""

    def bind(self, port: Port, network: Network, node: Node) -> Decision: ...


@dataclass(frozen=True, slots=True)
class BindingAnswer:
    """On which node a port is bound, how and by which mechanism; or the ``refusal``."""

    node: NodeRow | None = None
    bound: Bound | None = None
    mechanism: str = ""
    refusal: str = ""


class Binder:
    """Decides bindings inside a transaction; the mechanism drivers are pure, so it may be repeated."""

    def __init__(self, mechanisms: Mechanisms) -> None:
        self._mechanisms = mechanisms

    def decide(
        self, transaction: Transaction, port: PortRow, node_id: str | None = None, segments: Segments | None = None
    ) -> bool:
        """Decide a port's binding anew, on ``node_id`` if given, on one of ``segments`` if the port is new; True if it
        changed. A port that waited for its place to get addresses gets them. The caller names the port in the feed."""
        session, row = transaction.session, port.binding
        before = _state(row)
        if not (row.host or row.switch_node_id):
            _unbind(row, portbindings.VIF_TYPE_UNBOUND, "")
        elif nodes := _candidates(session, row, node_id):
            self._bind(session, port, nodes, segments)
        else:
            _unbind(row, portbindings.VIF_TYPE_BINDING_FAILED, _unknown_host(session, row))
        changed = _state(row) != before
        if changed or not port.status:
            port.status, port.status_reason = "DOWN", status_reason(row)
        if changed and port.ip_allocation == routed.DEFERRED:
            routed.give_deferred(session, port)
        return changed

    def _bind(self, session: Session, port: PortRow, nodes: Sequence[NodeRow], segments: Segments | None) -> None:
        row = port.binding
        network = self._network(session, port, segments)
        answer = self._ask(port_value(port), network, row.vnic_type, nodes)
        if answer.bound is not None and answer.node is not None:
            _bound(session, row, answer.node, answer.bound, answer.mechanism)
        else:
            _unbind(row, portbindings.VIF_TYPE_BINDING_FAILED, answer.refusal)

    def _network(self, session: Session, port: PortRow, segments: Segments | None) -> Network:
        """The port's network with the segments where the port may be. It is kept as it is until the binding is
        stored: whoever adds a segment then finds the port, if that was refused (a new port has seen to it before)."""
        if segments is None:
            once(session, ("kept", port.network_id), lambda: places.keep(session, port.network_id))
        network = network_value(_network(session, port.network_id))
        if segments is None and len(network.segments) > 1:
            segments = routed.segments_of(session, port)
        return routed.narrowed(network, segments or ())

    def _ask(self, port: Port, network: Network, vnic_type: str, nodes: Sequence[NodeRow]) -> BindingAnswer:
        """What the first node says that can realise the port, or why none can."""
        if vnic_type not in REALISED_VNIC_TYPES:
            known = " or ".join(REALISED_VNIC_TYPES)
            return BindingAnswer(refusal=f"binding:vnic_type '{vnic_type}' is not realised here; use {known}")
        refusals = []
        for node in nodes:
            decision = self._mechanisms.bind(port, network, node_value(node))
            if decision.bound is not None:
                return BindingAnswer(node, decision.bound, decision.mechanism)
            refusals.append(decision.refusal)
        return BindingAnswer(refusal="; ".join(dict.fromkeys(refusals)))

    def preview(self, session: Session, port: PortRow, wanted: BindingRow) -> BindingAnswer:
        """What would become of a port if it were asked to be where ``wanted`` (no row of the store) says."""
        wish(wanted)
        nodes = _candidates(session, wanted, None)
        if not nodes:
            return BindingAnswer(refusal=_unknown_host(session, wanted))
        links = local_links(wanted.profile)
        moved = replace(port_value(port), host=wanted.host, binding=None, local_links=links)
        return self._ask(moved, self._network(session, port, None), wanted.vnic_type, nodes)

    def decide_node(self, transaction: Transaction, node: NodeRow, hosts: Sequence[str], only_unbound: bool) -> None:
        """Decide the ports that are, or ask to be, on a node. ``hosts``: its names, the old one and the new one.
        Ports that are there because they are plugged in go with its name."""
        asked = or_(BindingRow.host.in_(hosts), BindingRow.switch_node_id == node.id)
        chosen = asked & BindingRow.node_id.is_(None) if only_unbound else asked | (BindingRow.node_id == node.id)
        for port in in_turns(_locked(transaction.session, chosen)):
            renamed = _follow_name(transaction.session, port.binding, node)
            self._decide_again(transaction, port, renamed)

    def decide_unbound(self, transaction: Transaction, network: NetworkRow) -> None:
        """Try the ports of a network again that were refused."""
        chosen = (PortRow.network_id == network.id) & BindingRow.node_id.is_(None) & (BindingRow.refusal != "")
        for port in in_turns(_locked(transaction.session, chosen)):
            self._decide_again(transaction, port)

    def _decide_again(self, transaction: Transaction, port: PortRow, changed: bool = False) -> None:
        if self.decide(transaction, port) or changed:
            transaction.updated(port)
            transaction.session.flush()


def set_host(session: Session, row: BindingRow, host: str, auto_bound: bool = False) -> None:
    """Ask for a port to be on a host, or on none; ``auto_bound``: because it is plugged in there. A binding that
    waited to be activated there is this one now."""
    if host and host != row.host and row.port_id:
        same = (InactiveBindingRow.port_id == row.port_id) & (InactiveBindingRow.host == host)
        session.execute(delete(InactiveBindingRow).where(same))
    row.host, row.auto_bound = host, auto_bound


def wish(row: BindingRow) -> None:
    """Take over from the profile which switch the port is asked to be on."""
    row.switch_node_id = wished_switch(row.profile)


def wished_switch(profile: Mapping[str, Any]) -> str | None:
    """The node of the first switch that ``local_link_information`` names by a datapath id."""
    numbers = (switch_number(switch_id) for switch_id, _ in local_links(profile))
    return next((switch_node_id(number) for number in numbers if number is not None), None)


def status_reason(row: BindingRow) -> str:
    """Why a port without or with a fresh binding is DOWN."""
    if row.node_id is not None:
        return "waiting for the node to take the port over"
    return row.refusal or NOT_ASKED


def _candidates(session: Session, row: BindingRow, node_id: str | None) -> Sequence[NodeRow]:
    """The nodes where the port may be, locked: their facts and keys must not change under the decision. If there is
    none, one may be on its way (see :func:`expect`), and is waited for. Found once for all ports of a transaction."""
    wanted, present = node_id or row.switch_node_id, row.node_id or ""
    statement, name = (BY_ID, wanted) if wanted else (BY_HOST, row.host)

    def find() -> Sequence[NodeRow]:
        found = session.scalars(statement, {"wanted": name, "present": present}).all()
        if not found:
            expect(session, name)
            found = session.scalars(statement, {"wanted": name, "present": present}).all()
        return found

    return once(session, ("nodes", "id" if wanted else "host", name, present), find)


def expect(session: Session, *names: str) -> None:
    """Before a node is looked for in vain by a name, or appears under it: whoever comes second until the end of the
    transaction waits for the first, so that a node finds the ports that were refused for want of it."""
    for name in sorted(set(names)):
        hold(session, "node", name)


def _locked(session: Session, chosen: ColumnElement[bool]) -> Sequence[PortRow]:
    """The ports whose binding is chosen, for this transaction alone."""
    statement = select(PortRow).join(PortRow.binding).where(chosen)
    return session.scalars(statement.order_by(PortRow.id).with_for_update(of=PortRow)).all()


def _follow_name(session: Session, row: BindingRow, node: NodeRow) -> bool:
    """Let a port that is plugged into a node be where the node says that it is; whether that is elsewhere now. One
    that was refused has no node, so it is this one's unless another has its old name too."""
    if not row.auto_bound or row.host == node.host or row.node_id not in (node.id, None):
        return False
    if row.node_id is None and session.scalar(select(NodeRow.id).where(NodeRow.host == row.host).limit(1)):
        return False
    set_host(session, row, node.host, auto_bound=True)
    return True


def _network(session: Session, network_id: str) -> NetworkRow:
    """A network with its segments; kept, so that the ports of a bulk create share it."""

    def find() -> NetworkRow:
        return session.get_one(NetworkRow, network_id, options=[joinedload(NetworkRow.segments)])

    return once(session, ("network", network_id), find)


def _unknown_host(session: Session, row: BindingRow) -> str:
    wanted = f"switch '{row.switch_node_id}'" if row.switch_node_id else f"host '{row.host}'"
    hosts = session.scalars(select(NodeRow.host).distinct().order_by(NodeRow.host).limit(NAMED_HOSTS + 1)).all()
    known = ", ".join(hosts[:NAMED_HOSTS]) + (", ..." if len(hosts) > NAMED_HOSTS else "")
    return f"{wanted} is unknown: no switch or agent of that name has reported; known hosts: {known or 'none'}"


def _unbind(row: BindingRow, vif_type: str, refusal: str) -> None:
    row.node_id = row.segment_id = row.mechanism = row.port_key = None
    row.vif_type, row.vif_details, row.refusal = vif_type, {}, refusal


def _bound(session: Session, row: BindingRow, node: NodeRow, bound: Bound, mechanism: str) -> None:
    key = row.port_key
    if row.node_id != node.id or key is None:
        key = _free_key(session, node)
    row.node_id, row.segment_id, row.mechanism, row.port_key = node.id, bound.segment_id, mechanism, key
    row.vif_type, row.vif_details, row.refusal = bound.vif_type, dict(bound.vif_details), ""


def _free_key(session: Session, node: NodeRow) -> int | None:
    """A number that no port has on the node: the one after the highest, which is found at once, or the lowest free."""
    highest = session.connection().scalar(HIGHEST_KEY, {"node": node.id})
    key = PORT_KEYS.first if highest is None else highest + 1
    if key in PORT_KEYS:
        return key
    return UsedIds(session, BindingRow.__table__, "port_key", {"node_id": node.id}).lowest_gap(PORT_KEYS)


def _state(row: BindingRow) -> tuple[object, ...]:
    return (row.node_id, row.segment_id, row.mechanism, row.port_key, row.vif_type, row.vif_details, row.refusal)
