"""The one exception tree of Isthmus.

Messages are for operators: what is wrong, where, and what would be right. Faults of the northbound API are
neutron-lib's exceptions (``neutron_lib.exceptions``); these are for everything behind it.
"""

from __future__ import annotations


class IsthmusError(Exception):
    """Base of all errors of our own."""


class ConfigurationError(IsthmusError):
    """An option has a value that cannot work; the message names the option."""


class DriverLoadError(ConfigurationError):
    """A type or mechanism driver named in the configuration cannot be loaded."""


class CompileError(IsthmusError):
    """A plan cannot be compiled; the message names the object and the stage."""


class EncodeError(IsthmusError):
    """A flow or group cannot be put into the OpenFlow version of the switch."""


class SwitchError(IsthmusError):
    """A switch refused, timed out or went away. ``cookie`` names the flow at fault where the switch told it."""

    def __init__(self, message: str, cookie: int | None = None) -> None:
        super().__init__(message)
        self.cookie = cookie


class SwitchTimeout(SwitchError):
    """The switch did not answer within the deadline."""


class SwitchGone(SwitchError):
    """The session with the switch ended."""


class ReportError(IsthmusError):
    """An agent's report cannot be understood; the message names the field."""


class UnknownNode(IsthmusError):
    """No node with that name is known."""


class OutcomeUnknown(IsthmusError):
    """The database went away while it was to commit, and did not come back in time to tell whether it did."""


class FeedExpired(IsthmusError):
    """A follower asked for revisions that the change feed no longer keeps; it must load the whole intent anew."""
