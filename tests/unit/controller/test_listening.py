"""Accidents of accepting connections do not end a server."""

from __future__ import annotations

import errno

import pytest

from controller.listening import Listener


class Socket:
    """Whose ``accept`` fails with these errors, one after the other, and then does not."""

    def __init__(self, *errors: int) -> None:
        self._errors = list(errors)

    def accept(self) -> tuple[str, str]:
        if not self._errors:
            return "connection", "address"
        raise OSError(self._errors.pop(0), "accident")

    def close(self) -> None:
        pass


def test_descriptors_run_out_or_a_client_is_gone_too_soon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener(Socket(errno.EMFILE, errno.EMFILE, errno.ECONNABORTED, errno.EPROTO), "OpenFlow")
    assert listener.accept() == ("connection", "address")
    assert caplog.text.count("OpenFlow: connections cannot be accepted") == 1, "not a line for every try"


def test_one_that_was_stopped_ends_as_eventlets_server_expects() -> None:
    listener = Listener(Socket(), "API")
    listener.stop()
    with pytest.raises(OSError, match="stopped") as ended:
        listener.accept()
    assert ended.value.errno == errno.ESHUTDOWN


def test_one_that_was_closed_is_not_tried_for_ever() -> None:
    with pytest.raises(OSError, match="accident"):
        Listener(Socket(errno.EBADF), "OpenFlow").accept()
