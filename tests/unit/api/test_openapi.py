"""The description says what is there."""

from __future__ import annotations

import jsonschema
import pytest

from controller.api.attributes import RESOURCE_TYPES
from controller.tracing.frame import WANTED
from tests.unit.api.conftest import Api

PATH = "/v2.0/isthmus/openapi.json"


def test_every_route_is_described(api: Api) -> None:
    document = api.get(PATH).json
    assert document["openapi"].startswith("3.")
    described = {(path, method) for path, operations in document["paths"].items() for method in operations}
    served = {(route.template, method.lower()) for route in api.application.routes for method in route.methods}
    assert {item for item in described if item[1] != "parameters"} == served


def test_every_reference_leads_somewhere(api: Api) -> None:
    document = api.get(PATH).json

    def check(part: object) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                place = document
                for name in part["$ref"].removeprefix("#/").split("/"):
                    place = place[name]
            for item in part.values():
                check(item)
        elif isinstance(part, list):
            for item in part:
                check(item)

    check(document)


@pytest.mark.parametrize("resource", RESOURCE_TYPES, ids=lambda resource: resource.name)
def test_schemas_are_schemas_and_attributes_have_types(api: Api, resource: object) -> None:
    schemas = api.get(PATH).json["components"]["schemas"]
    schema = schemas[resource.name]  # type: ignore[attr-defined]
    jsonschema.Draft202012Validator.check_schema(schema)
    untyped = [name for name, spec in schema["properties"].items() if not spec]
    assert not untyped
    assert set(schema["properties"]) == resource.visible  # type: ignore[attr-defined]


def test_what_a_trace_can_be_asked_is_described(api: Api) -> None:
    """As it is read: every name, and what is not valid is refused."""
    (operation,) = api.get(PATH).json["paths"]["/v2.0/isthmus/trace"].values()
    parameters = {each["name"]: each for each in operation["parameters"]}
    assert parameters.keys() == {"port", "to", *WANTED}
    assert [name for name, each in parameters.items() if each["required"]] == ["port"]
    assert all(each["in"] == "query" and each["schema"] for each in parameters.values())
