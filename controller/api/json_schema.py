"""JSON schemas of attributes, read off neutron-lib's definitions: what the validator and the converter say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.attributes import ResourceType

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
UUID: Schema = {"type": "string", "format": "uuid"}
OBJECT: Schema = {"type": "object"}

CONVERTERS: Mapping[str, Schema] = {
    "convert_to_boolean": {"type": "boolean"},
    "convert_to_boolean_if_not_none": {"type": "boolean"},
    "convert_to_int": WHOLE,
    "convert_to_int_if_not_none": WHOLE,
    "convert_to_positive_float_or_none": {"type": "number"},
}
LISTS: Mapping[str, Schema] = {
    "ip_pools": {"type": "object", "properties": {"start": TEXT, "end": TEXT}, "required": ["start", "end"]},
    "nameservers": TEXT,
    "hostroutes": {"type": "object", "properties": {"destination": TEXT, "nexthop": TEXT}},
    "fixed_ips": {"type": "object", "properties": {"subnet_id": UUID, "ip_address": TEXT}},
    "allowed_address_pairs": {"type": "object", "properties": {"ip_address": TEXT, "mac_address": TEXT}},
    "network_segments": OBJECT,
    "uuid_list": UUID,
    "uuid_list_non_empty": UUID,
    "subnet_list": TEXT,
    "list_of_subnets_or_none": TEXT,
    "availability_zone_hints": TEXT,
    "service_plugin_type": TEXT,
    "list_of_unique_strings": TEXT,
    "tags": TEXT,
}
"""Validators of lists -> what one entry is."""
OBJECTS = ("dict", "dict_or_none", "dict_or_empty", "dict_or_nodata")
TEXTS: Schema = {"type": "array", "items": TEXT}
UNTOLD: Mapping[str, Schema] = {
    "subnets": TEXTS,
    "tags": TEXTS,
    "availability_zones": TEXTS,
    "availability_zone_hints": TEXTS,
    "service_types": TEXTS,
    "security_groups": TEXTS,
    "configurations": OBJECT,
    "used": OBJECT,
    "total_ips": WHOLE,
    "used_ips": WHOLE,
    "subnet_ip_availability": {"type": "array", "items": OBJECT},
    "ip_availability_details": OBJECT,
    "resource_request": OBJECT,
    "resources_synced": {"type": "boolean"},
    "l2_adjacency": {"type": "boolean"},
}
"""Attributes that the definitions say nothing about; any other such is text."""


SHOWN_AS_TEXT = frozenset({"min_prefixlen", "max_prefixlen", "default_prefixlen"})
"""Numbers in requests, texts in answers, as in Neutron."""


def attribute_schema(name: str, spec: Mapping[str, Any]) -> Schema:
    """The schema of one attribute; None is allowed everywhere, as the API allows it for what is not set."""
    schema = _typed(name, spec)
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None] if None not in schema["enum"] else schema["enum"]
    if "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def _typed(name: str, spec: Mapping[str, Any]) -> Schema:
    validators = {key.removeprefix("type:"): value for key, value in (spec.get("validate") or {}).items()}
    kind = next(iter(validators), "")
    converter_name = getattr(spec.get("convert_to"), "__name__", "")
    converter = CONVERTERS.get(converter_name)
    if "values" in validators:
        return {"type": _kind_of(validators["values"]), "enum": list(validators["values"])}
    if "range" in validators:
        low, high = validators["range"]
        return {**WHOLE, "minimum": low, "maximum": high}
    if converter is not None:
        return dict(converter)
    if name in UNTOLD or (not kind and "convert_to" not in spec):
        return dict(UNTOLD.get(name, TEXT))
    if kind in LISTS or "list" in kind or converter_name == "convert_none_to_empty_list":
        return {"type": "array", "items": dict(LISTS.get(kind, {}))}
    if kind in OBJECTS or kind.startswith("dict"):
        return dict(OBJECT)
    if kind == "uuid":
        return dict(UUID)
    return _text(kind, validators.get(kind))


def _text(kind: str, largest: Any) -> Schema:
    known = ("string", "uuid", "mac_address", "ip_address", "subnet", "regex", "name")
    if not any(part in kind for part in known):
        return {}
    return {**TEXT, "maxLength": largest} if isinstance(largest, int) and largest > 0 else dict(TEXT)


def _kind_of(values: Any) -> str:
    kinds = {type(value) for value in values if value is not None}
    return "integer" if kinds == {int} else "string"


def resource_schema(resource: ResourceType) -> Schema:
    """A resource as it is shown."""
    shown = sorted(resource.visible)
    return {
        "type": "object",
        "properties": {
            name: dict(TEXT) if name in SHOWN_AS_TEXT else attribute_schema(name, resource.attributes[name])
            for name in shown
        },
        "additionalProperties": False,
    }


def request_schema(resource: ResourceType, allowed: str) -> Schema:
    """What a request may say: ``allowed`` is ``allow_post`` or ``allow_put``."""
    said = {name: spec for name, spec in resource.attributes.items() if spec.get(allowed)}
    schema: Schema = {
        "type": "object",
        "properties": {name: attribute_schema(name, spec) for name, spec in sorted(said.items())},
        "additionalProperties": False,
    }
    required = sorted(name for name, spec in said.items() if allowed == "allow_post" and _must(name, spec))
    return {**schema, "required": required} if required else schema


def _must(name: str, spec: Mapping[str, Any]) -> bool:
    """Attributes without a default must be given; the project follows from the caller."""
    return "default" not in spec and name not in ("tenant_id", "project_id")
