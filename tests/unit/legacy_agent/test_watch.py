"""The agent's client of the controller: plans by long poll over real HTTP, and what happens when nobody answers."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ConfigurationError, UnknownNode
from legacy_agent.host_plan import HostPlan, HostReport
from legacy_agent.watch import Backoff, ControllerClient, ControllerGone, Controllers, PlanWatch
from tests.support.fake_controller import FakeController
from tests.unit.legacy_agent.plans import network, port


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController("rack 7/a")
    yield fake
    fake.close()


def known(controller: FakeController) -> ControllerClient:
    """A client whose host has introduced itself."""
    client = ControllerClient(controller.url, "rack 7/a")
    client.report(HostReport("rack 7/a"))
    return client


def test_unknown_host_reports_and_gets_its_plan(controller: FakeController) -> None:
    client = ControllerClient(controller.url, "rack 7/a")
    with pytest.raises(UnknownNode):
        client.plan(0, 1)
    client.report(HostReport("rack 7/a", devices={"00000001-00": "tap00000001-00"}))
    assert controller.reports == [HostReport("rack 7/a", devices={"00000001-00": "tap00000001-00"})]
    controller.plan(3, network(1, "vxlan", None, 77, port(1)))
    assert client.plan(0, 1) == HostPlan("rack 7/a", 3, (network(1, "vxlan", None, 77, port(1)),))


def test_nothing_new_is_none_and_news_come_at_once(controller: FakeController) -> None:
    client = known(controller)
    controller.plan(3)
    assert client.plan(3, 0.05) is None
    timer = threading.Timer(0.1, lambda: controller.plan(4))
    timer.start()
    assert client.plan(3, 10) == HostPlan("rack 7/a", 4)


def test_connection_that_breaks_is_made_anew(controller: FakeController) -> None:
    client = known(controller)
    controller.plan(3)
    controller._server.break_connections()
    with pytest.raises(ControllerGone):
        client.plan(0, 1)
    assert client.plan(0, 1) == HostPlan("rack 7/a", 3)


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = ControllerClient(f"http://127.0.0.1:{unused.getsockname()[1]}/", "h")
        with pytest.raises(ControllerGone, match=r"no answer from http://127\.0\.0\.1"):
            client.plan(0, 1)


@pytest.mark.parametrize("answer", [
    b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!", b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nsorry",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"",
])  # fmt: skip
def test_nonsense_is_a_controller_gone(answer: bytes) -> None:
    """Whatever speaks there, the agent's loop sees one kind of failure."""
    with answering(answer) as url, pytest.raises(ControllerGone):
        ControllerClient(url, "h").plan(0, 1)


@pytest.mark.parametrize(("status", "moves"), [(503, True), (500, True), (403, False)])
def test_a_controller_that_cannot_serve_is_left(controller: FakeController, status: int, moves: bool) -> None:
    """Like an API process without the controller; not one that refuses us."""
    controller.take_report(HostReport("rack 7/a").to_dict())
    controller.plan(3)
    with answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        controllers = Controllers(f"{url},{controller.url}")
        client = ControllerClient(controllers, "rack 7/a")
        with pytest.raises(ControllerGone, match=str(status)):
            client.plan(0, 1)
    assert controllers.current == (controller.url if moves else url)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of somebody who gives this answer, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(answer)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("url", ["controller:9696", "ftp://controller", "http://", "", "http://a,b"])
def test_bad_url_names_the_option(url: str) -> None:
    with pytest.raises(ConfigurationError, match="controller_url"):
        ControllerClient(url, "h")


def test_next_controller_takes_over_and_is_asked_for_everything() -> None:
    """Where plans come from is where reports go, whoever finds out first."""
    first, second = FakeController("h"), FakeController("h")
    for controller in (first, second):
        controller.take_report(HostReport("h").to_dict())
    first.plan(7)
    second.plan(3)
    controllers = Controllers(f"{first.url}, {second.url}/")
    source, reporter = ControllerClient(controllers, "h"), ControllerClient(controllers, "h")
    assert source.plan(0, 1) == HostPlan("h", 7)
    first.close()
    with pytest.raises(ControllerGone):
        reporter.report(HostReport("h"))
    reporter.report(HostReport("h", applied_revision=7))
    assert second.reports[-1].applied_revision == 7
    assert source.plan(7, 0.05) == HostPlan("h", 3)
    assert source.plan(3, 0.05) is None
    second.close()


def test_plan_of_a_newer_controller_is_understood() -> None:
    """It is upgraded first; what it says beyond is passed over. What is missing is still an error."""
    plan = HostPlan("h", 3, (network(1, "vxlan", None, 77, port(1)),))
    data = json.loads(json.dumps(plan.to_dict()))
    [net] = data["networks"]
    for item in (data, net, net["ports"][0], net["ports"][0]["allowed"][0], net["remotes"][0]):
        item["colour"] = "blue"
    assert HostPlan.from_dict(data) == plan
    del net["ports"][0]["mac"]
    with pytest.raises(TypeError):
        HostPlan.from_dict(data)


class Script:
    """A source that answers from a list, and a sink that remembers."""

    def __init__(self, *answers: HostPlan | Exception | None) -> None:
        self._answers = list(answers)
        self.asked: list[int] = []
        self.heard: list[object] = []

    def plan(self, revision: int, wait: float) -> HostPlan | None:
        self.asked.append(revision)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def accept(self, plan: HostPlan) -> None:
        self.heard.append(plan.revision)

    def unknown(self) -> None:
        self.heard.append("unknown")

    def in_touch(self) -> None:
        self.heard.append("in touch")

    def run(self) -> list[float]:
        """The pauses between the questions."""
        watch = PlanWatch(self, self, threading.Event(), 30.0, Backoff(0.2, 30.0, lambda _, most: most))
        return [watch.step() for _ in range(len(self._answers))]


def test_full_plan_after_the_controller_was_gone() -> None:
    gone = ControllerGone("gone")
    script = Script(HostPlan("h", 5), gone, gone, HostPlan("h", 2), None, UnknownNode("?"), HostPlan("h", 6))
    pauses = script.run()
    assert script.asked == [0, 5, 0, 0, 2, 2, 0]
    assert script.heard == [5, 2, "in touch", "unknown", 6]
    assert pauses[1:3] == [0.2, 0.4]
    assert pauses[3] == 0


def test_controller_that_does_not_wait_is_not_asked_without_pause() -> None:
    script = Script(HostPlan("h", 5), None, HostPlan("h", 5))
    pauses = script.run()
    assert pauses[0] == 0
    assert min(pauses[1:]) > 0.9
    assert script.heard == [5, "in touch", "in touch"]


@given(st.integers(), st.integers(1, 40))
def test_backoff_grows_and_ends(seed: int, times: int) -> None:
    backoff = Backoff(0.2, 30.0, random.Random(seed).uniform)
    pauses = [backoff.next() for _ in range(times)]
    assert all(min(30.0, 0.2 * 2**n) / 2 <= pause <= min(30.0, 0.2 * 2**n) for n, pause in enumerate(pauses))
    backoff.reset()
    assert backoff.next() <= 0.2
