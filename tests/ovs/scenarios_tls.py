"""The scenario of OpenFlow over TLS; the controller's files are where the test has put them."""

from __future__ import annotations

import os

from controller.model import switch_node_id
from controller.southbound.openflow_app import LOG
from tests.ovs.programs import flow, program
from tests.ovs.scenarios_peers import HELLO, dial, ended
from tests.ovs.world import World


def openflow_over_tls(world: World) -> None:
    """Programmed, read, adopted after a reconnect; who speaks no TLS costs a line of the log."""
    lines: list[str] = []
    LOG.warning = lambda text, *values: lines.append(text % values)  # type: ignore[method-assign, assignment]
    key, certificate = os.environ["TLS_KEY"], os.environ["TLS_CERTIFICATE"]
    world.bed.vsctl("set-ssl", key, certificate, certificate)
    world.bed.add_bridge()
    world.bed.connect(protocol="ssl")
    node, wanted = switch_node_id(1), program(1, *(flow(number) for number in range(20_000)))
    world.wait(lambda: world.state(node) == "ready", "it is ready")
    assert ended(dial(HELLO))
    assert world.southbound.apply(node, wanted).flows_added == 20_000
    assert world.southbound.audit(node, wanted).flows_added == 0
    world.bed.disconnect()
    world.wait(lambda: world.state(node) == "gone", "it is gone")
    world.bed.connect(protocol="ssl")
    world.wait(lambda: world.state(node) == "ready", "it is back")
    assert world.southbound.apply(node, wanted).adopted
    assert len(lines) == 1, lines
    assert "no connection" in lines[0]
