"""Who asks: the caller of a use case."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The caller's project, user and roles. ``is_admin`` (may do everything) and ``is_service`` (may know of every
    project's resources) are decided by the API's authentication and policy."""

    project_id: str = ""
    user_id: str = ""
    roles: tuple[str, ...] = ()
    is_admin: bool = False
    is_service: bool = False
    request_id: str = field(default_factory=lambda: f"req-{uuid4()}")

    @property
    def sees_all(self) -> bool:
        """Whether rows of every project are there for the caller."""
        return self.is_admin or self.is_service


def system_context() -> RequestContext:
    """The controller itself: reconciler, agents' reports, switch events."""
    return RequestContext(is_admin=True, roles=("admin",), user_id="isthmus")
