"""Declared switches and the cable plan over HTTP, on the real plugin and its change feed."""

from __future__ import annotations

from typing import Any

import pytest
from webob import Request, Response

from controller.api.wsgi import Application
from controller.db.feed import StoreFeed
from controller.model import Cable, DeclaredSwitch, Plug
from controller.plugin.plugin import Plugin
from tests.api.world import SWITCH

ROOT = "/v2.0/isthmus"
SAID = {
    "name": "leaf1",
    "uplinks": {"physnet1": ["eth1", 2], "physnet2": "eth3"},
    "tunnel": {"ip": "192.0.2.1", "ports": {"vxlan": "vx"}},
    "admin_state_up": False,
}


def ask(application: Application, method: str, path: str, body: Any = None) -> Response:
    request = Request.blank(f"{ROOT}/{path}", method=method)
    if body is not None:
        request.content_type, request.json = "application/json", body
    return request.get_response(application)


def test_a_switch_is_declared_shown_followed_and_forgotten(application: Application, plugin: Plugin) -> None:
    feed = StoreFeed(plugin._store)
    before = feed.latest()
    answer = ask(application, "PUT", "switches/00:00:00:00:00:00:00:0A", {"switch": SAID})
    assert answer.status_int == 200, answer.text
    shown = answer.json["switch"]
    assert shown == {
        "id": "switch:000000000000000a", "dpid": "000000000000000a", "name": "leaf1",
        "uplinks": {"physnet1": ["eth1", "2"], "physnet2": ["eth3"]},
        "tunnel": {"ip": "192.0.2.1", "ports": {"vxlan": "vx"}}, "admin_state_up": False,
    }  # fmt: skip
    assert ask(application, "GET", "switches/a").json["switch"] == shown
    after = feed.latest()
    assert ask(application, "PUT", "switches/a", {"switch": shown}).json["switch"] == shown
    assert feed.latest() == after, "what was declared already is no change"
    value = DeclaredSwitch(shown["id"], "leaf1", {"physnet1": ("eth1", "2"), "physnet2": ("eth3",)}, "192.0.2.1",
                           {"vxlan": "vx"})  # fmt: skip
    assert feed.since(before)[-1].switches == {shown["id"]: value}
    assert feed.load().switches == {shown["id"]: value}
    before = feed.latest()
    assert ask(application, "DELETE", "switches/0xa").status_int == 204
    assert feed.since(before)[-1].switches == {shown["id"]: None}
    assert ask(application, "GET", "switches/a").status_int == 404
    assert ask(application, "DELETE", "switches/a").status_int == 404


def test_administrative_state_is_the_nodes(application: Application, plugin: Plugin) -> None:
    ask(application, "PUT", "switches/1", {"switch": {"admin_state_up": False}})
    assert plugin.node_seen(SWITCH).admin_state_up is False
    assert ask(application, "PUT", "switches/1", {"switch": {}}).json["switch"]["admin_state_up"] is True
    assert plugin.node_seen(SWITCH).admin_state_up is True


def test_conflicts(application: Application, plugin: Plugin) -> None:
    assert ask(application, "PUT", "switches/a", {"switch": {"name": "x"}}).status_int == 200
    taken = ask(application, "PUT", "switches/b", {"switch": {"name": "x"}})
    assert taken.status_int == 409
    assert "switch:000000000000000a" in taken.json["NeutronError"]["message"]
    plugin.node_seen(type(SWITCH)(SWITCH.id, SWITCH.kind, SWITCH.host, SWITCH.mechanisms))
    tunnel = ask(application, "PUT", "switches/1", {"switch": {"tunnel": SAID["tunnel"]}})
    assert tunnel.status_int == 409
    assert "remote end by flow" in tunnel.json["NeutronError"]["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "one key 'switch'"),
        ({"switch": []}, "an object"),
        ({"switch": {"colour": "red"}}, "unknown: colour"),
        ({"switch": {"name": ""}}, "name"),
        ({"switch": {"name": "a\nb"}}, "name"),
        ({"switch": {"uplinks": ["eth1"]}}, "uplinks must be"),
        ({"switch": {"uplinks": {"": "eth1"}}}, "no name of a physical network"),
        ({"switch": {"uplinks": {"p": []}}}, "has no port"),
        ({"switch": {"uplinks": {"p": [0]}}}, "a port is a name"),
        ({"switch": {"uplinks": {"p": [True]}}}, "a port is a name"),
        ({"switch": {"uplinks": {"p": ["eth1"], "q": "eth1"}}}, "named twice"),
        ({"switch": {"tunnel": {"ip": "192.0.2.1"}}}, "tunnel must be"),
        ({"switch": {"tunnel": {"ip": "fe80::1", "ports": {"vxlan": "v"}}}}, "endpoint"),
        ({"switch": {"tunnel": {"ip": "::1", "ports": {"vxlan": "v"}}}}, "endpoint"),
        ({"switch": {"tunnel": {"ip": "rack1", "ports": {"vxlan": "v"}}}}, "no IP address"),
        ({"switch": {"tunnel": {"ip": "224.0.0.1", "ports": {"vxlan": "v"}}}}, "endpoint"),
        ({"switch": {"tunnel": {"ip": "192.0.2.1", "ports": {"stt": "v"}}}}, "gre"),
        ({"switch": {"admin_state_up": "yes"}}, "true or false"),
    ],
)
def test_bad_declarations(application: Application, body: Any, words: str) -> None:
    answer = ask(application, "PUT", "switches/a", body)
    assert answer.status_int == 400, answer.text
    assert words in answer.json["NeutronError"]["message"]
    assert ask(application, "GET", "switches/a").status_int == 404


def test_bad_datapath_ids(application: Application) -> None:
    for name in ("leaf1", "1" * 17):
        for method in ("GET", "PUT", "DELETE"):
            answer = ask(application, method, f"switches/{name}", {"switch": {}} if method == "PUT" else None)
            assert (answer.status_int, "datapath id" in answer.text) == (400, True)


def test_cable_plan(application: Application, plugin: Plugin) -> None:
    assert ask(application, "GET", "cables").json == {"cables": []}
    assert ask(application, "DELETE", "cables").status_int == 404
    plan = [{"a": {"switch": "leaf1", "port": "eth1"}, "b": {"switch": "2", "port": 3}}]
    stored = [{"a": plan[0]["a"], "b": {"switch": "2", "port": "3"}}]
    assert ask(application, "PUT", "cables", {"cables": plan}).json == {"cables": stored}
    assert ask(application, "GET", "cables").json == {"cables": stored}
    feed = StoreFeed(plugin._store)
    before = feed.latest()
    assert ask(application, "PUT", "cables", {"cables": plan}).json == {"cables": stored}
    assert feed.latest() == before, "what was planned already is no change"
    cables = (Cable(Plug("leaf1", "eth1"), Plug("2", "3")),)
    assert feed.load().cables == cables
    assert feed.since(0)[-1].cables == cables
    for wrong in ({"cables": [{}]}, {"cables": {}}, {}, {"cables": plan + plan}):
        assert ask(application, "PUT", "cables", wrong).status_int == 400
    before = feed.latest()
    assert ask(application, "DELETE", "cables").status_int == 204
    assert feed.since(before)[-1].cables == ()
