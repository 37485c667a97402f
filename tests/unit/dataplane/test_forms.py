"""A form gives what its sentence gives, and a flow of it is a flow like any other."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from inspect import unwrap

import pytest

from controller.dataplane.builder import Value, flow
from controller.dataplane.forms import form
from controller.dataplane.metadata import BitField, Layout
from controller.dataplane.tables import Pipeline, Table
from controller.dataplane.values import Flow, Output
from controller.errors import CompileError, EncodeError

PIPELINE = Pipeline(
    Layout(BitField("network", 0, 20), BitField("destination", 20, 36), BitField("kind", 56, 3)),
    Table("lookup", "", match=("network", "kind", "eth_dst", "eth_type", "ipv4_dst", "ipv6_dst"),
          sets=("destination",), goes_to=("deliver",)),
    Table("deliver", "", match=("destination",), sets=("eth_src",), actions=(Output,)),
)  # fmt: skip
LOOKUP, DELIVER = PIPELINE["lookup"], PIPELINE["deliver"]
MAC = 0xFA163E000001


@form
def known(network: int, mac: Value, key: int, port_id: str) -> Flow:
    sentence = flow(LOOKUP, 7).match(network=network, kind=5, eth_dst=mac).set(destination=key)
    return sentence.because(f"port {port_id}").goto(DELIVER)


@form
def deliver(key: int, mac: int, port: int) -> Flow:
    return flow(DELIVER, 9).match(destination=key << 4 | 3).set(eth_src=mac).output(port).done()


@form
def address(value: Value) -> Flow:
    return flow(LOOKUP, 8).match(eth_type=0x86DD, ipv6_dst=value).goto(DELIVER)


def plain(function: object, *arguments: object) -> Flow:
    said: Flow = unwrap(function)(*arguments)  # type: ignore[arg-type]
    return said


@pytest.mark.parametrize("mac", [MAC, 0, "fa:16:3e:00:00:01", (1 << 40, 1 << 40), None])
def test_a_form_gives_what_its_sentence_gives(mac: Value) -> None:
    made, said = known(3, mac, 2**36 - 1, "p1"), plain(known, 3, mac, 2**36 - 1, "p1")
    assert made.body() == said.body()
    assert (made, made.why, made.cookie, repr(made), hash(made)) == (
        said,
        "port p1",
        said.cookie,
        repr(said),
        hash(said),
    )


def test_a_form_may_have_a_meter() -> None:
    table = Pipeline(Layout(), Table("punt", "", match=("in_port",), metered=True))["punt"]
    metered = form(lambda port: flow(table, 1).match(in_port=port).meter(7).done())
    assert metered(3).body() == plain(metered, 3).body()
    assert (metered(3).meter, metered(3)) == (7, Flow(0, 1, metered(3).match, meter=7))
    assert known(3, MAC, 9, "p1").meter is None


def test_wide_fields_and_composed_metadata() -> None:
    assert address(2**128 - 1).body() == plain(address, 2**128 - 1).body()
    assert deliver(5, MAC, 0xFFFFFFF8).body() == plain(deliver, 5, MAC, 0xFFFFFFF8).body()
    assert deliver(5, MAC, 1) == plain(deliver, 5, MAC, 1) != deliver(6, MAC, 1)


def test_its_bytes_are_known_before_its_parts() -> None:
    made = known(3, MAC, 9, "p1")
    assert made.cookie == plain(known, 3, MAC, 9, "p1").cookie
    assert (made.table, made.priority, "match" in vars(made)) == (LOOKUP.id, 7, False)
    assert made.encoded_key == plain(known, 3, MAC, 9, "p1").encoded_key
    assert [item.name for item in made.match] == ["eth_dst", "metadata"]


@pytest.mark.parametrize("arguments", [(2**20, MAC, 9), (-1, MAC, 9), (3, 2**48, 9), (3, -1, 9), (3, MAC, 2**36)])
def test_what_does_not_fit_is_refused_when_it_is_made(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(CompileError, match="does not fit"):
        known(*arguments, "p1")


def test_what_only_the_bytes_show_names_the_flow() -> None:
    with pytest.raises(EncodeError, match=f"table {DELIVER.id}"):
        deliver(1, 2, 2**32).body()


def test_a_flow_of_a_form_can_be_copied() -> None:
    made = known(3, MAC, 9, "p1")
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), replace(made)):
        assert (again, again.why, again.cookie) == (made, "port p1", made.cookie)
    assert replace(made, priority=8) == replace(plain(known, 3, MAC, 9, "p1"), priority=8)
    with pytest.raises(AttributeError, match="nosuch"):
        made.nosuch  # type: ignore[attr-defined]  # noqa: B018


def test_contracts_are_checked_when_a_form_is_declared() -> None:
    with pytest.raises(CompileError, match="uses ipv4_dst without its prerequisite"):
        form(lambda number: flow(LOOKUP).match(ipv4_dst=number).goto(DELIVER))
    with pytest.raises(CompileError, match="lookup sets eth_src"):
        form(lambda number: flow(LOOKUP).set(eth_src=number).goto(DELIVER))
    with pytest.raises(CompileError, match="whose name is taken"):
        form(lambda match: flow(LOOKUP).match(network=match).goto(DELIVER))


def test_the_shape_of_a_form_cannot_depend_on_an_argument() -> None:
    with pytest.raises(TypeError):
        form(lambda number: flow(LOOKUP).match(eth_type=number).goto(DELIVER))
    with pytest.raises(TypeError):
        form(lambda number: flow(LOOKUP, 1 if number == 5 else 2).goto(DELIVER))


def test_what_a_sentence_decides_by_a_number_holds_for_that_number_only() -> None:
    decides = form(lambda number: flow(LOOKUP, 1 if number else 2).match(network=number).goto(DELIVER))
    assert [decides(number).priority for number in (0, 1, 2)] == [2, 1, 1]
    assert decides(1).body() == plain(decides, 1).body() != decides(0).body()
