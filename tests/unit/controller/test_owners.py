"""Whose address it is, as the intent changes."""

from __future__ import annotations

from dataclasses import replace

from controller.intent import Change
from controller.owners import Owners
from tests.support.scenarios import State, intent_of, make_network, make_port, switch_node

NODE = switch_node(1)
RED, BLUE = make_network(1, ("vlan", "physnet1", 100)), make_network(2, ("flat", "physnet1", None))
PORT = make_port(RED, 5, NODE)
STATE = State({RED.id: RED, BLUE.id: BLUE}, {NODE.id: NODE}, {PORT.id: PORT})


def test_ports_own_their_address_on_their_network() -> None:
    owners = Owners(lambda: intent)
    intent = intent_of(STATE)
    assert owners(1, PORT.mac_address) == (RED.id, NODE.id)
    assert owners(2, PORT.mac_address) == (BLUE.id, None)
    assert owners(1, "02:00:00:00:00:01") == (RED.id, None)
    assert owners(3, PORT.mac_address) is None


def test_it_follows_the_intent() -> None:
    intent = intent_of(STATE)
    owners = Owners(lambda: intent)
    owners(1, PORT.mac_address)
    intent.apply(Change.of(2, ports={PORT.id: replace(PORT, mac_address="fa:16:3e:00:00:99")}))
    assert owners(1, PORT.mac_address) == (RED.id, None)
    assert owners(1, "fa:16:3e:00:00:99") == (RED.id, NODE.id)
    green = replace(BLUE, id="green", key=1)
    intent.apply(Change.of(3, networks={RED.id: None, green.id: green}, ports={PORT.id: None}))
    assert owners(1, PORT.mac_address) == ("green", None)
