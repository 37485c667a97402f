"""The controller as an agent sees it: serves plans by long poll, takes reports. For tests of the agent alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from legacy_agent.host_plan import HostNetwork, HostPlan, HostReport


class FakeController:
    """One host's plan and the reports about it. The socket belongs to the namespace of the thread that makes it."""

    def __init__(self, host: str, port: int = 0) -> None:
        self._host = host
        self._changed = threading.Condition()
        self._plan: HostPlan | None = None
        self._ended = False
        self.reports: list[HostReport] = []
        self.asked: list[int] = []
        """The revisions that the agent had when it asked."""
        handler = type("Handler", (_Handler,), {"controller": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def plan(self, revision: int, *networks: HostNetwork) -> None:
        """From now on this is the plan."""
        with self._changed:
            self._plan = HostPlan(self._host, revision, networks)
            self._changed.notify_all()

    def wait(self, condition: Callable[[HostReport], bool], timeout: float = 10.0) -> HostReport:
        """The first report, old or to come, for which the condition holds."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(condition, self.reports)), timeout):
                raise TimeoutError(f"no such report; the last one is {self.reports[-1:]}")
            return next(report for report in self.reports if condition(report))

    def forget_reports(self) -> None:
        """Count from now on."""
        with self._changed:
            self.reports.clear()
            self.asked.clear()

    def close(self) -> None:
        """Be gone: open connections break, new ones are refused."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.break_connections()
        self._server.server_close()

    def answer_plan(self, revision: int, timeout: float) -> tuple[int, Any]:
        """404 until there is a plan and a report, then the plan when it is newer, or 204."""
        end = time.monotonic() + timeout
        with self._changed:
            self.asked.append(revision)
            if not self.reports:
                return 404, {"NeutronError": {"message": "unknown host"}}
            while not self._ended:
                if self._plan is not None and self._plan.revision > revision:
                    return 200, self._plan.to_dict()
                if not self._changed.wait(max(0.0, end - time.monotonic())):
                    break
            return 204, None

    def take_report(self, data: Any) -> None:
        """Remember a report."""
        with self._changed:
            self.reports.append(HostReport.from_dict(data))
            self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: list[Any] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the agent or the test broke is nothing to print."""

    def break_connections(self) -> None:
        """As when the process is killed."""
        for connection in self._connections:
            try:
                connection.shutdown(2)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    controller: FakeController
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._answer(*self.controller.answer_plan(int(query["revision"][0]), float(query["timeout"][0])))

    def do_PUT(self) -> None:
        self.controller.take_report(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(204, None)

    def _answer(self, status: int, data: Any) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""
