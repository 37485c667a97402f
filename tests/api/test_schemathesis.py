"""The description against what is served: requests made from it, and answers held against it."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from controller.api.wsgi import Application
from controller.plugin.context import RequestContext
from controller.plugin.plugin import Plugin
from tests.api.world import HOST, SWITCH

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
ADMIN = RequestContext(is_admin=True, project_id="p")


BRIEFLY = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def described(application: Application, plugin: Plugin) -> BaseSchema:
    """The application with something in it, described by itself."""
    for facts in (SWITCH, HOST):
        plugin.node_seen(facts)
    plugin.create(ADMIN, "network", {"name": "there"})
    return schemathesis.openapi.from_wsgi("/v2.0/isthmus/openapi.json", application)


def test_answers_are_as_described(described: BaseSchema) -> None:
    failed: dict[str, str] = {}
    operations = [found.ok() for found in described.get_all_operations()]
    for operation in operations:

        @BRIEFLY
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            check()
        except (Exception, BaseExceptionGroup) as error:
            failed[operation.label] = str(error)
    assert not failed, "\n\n".join(f"{label}:\n{text}" for label, text in failed.items())
    assert len(operations) > 30
