"""Requests that no well-meaning client sends: random paths, queries and bodies around the attributes that exist."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from webob import Request

from controller.api.attributes import RESOURCE_TYPES, ResourceType

IDS = st.sampled_from(["", "x", "00000000-0000-0000-0000-000000000000", "%00", "a b", "%C3%BC", "."])

KNOWN = tuple(f"known{number}" for number in range(4))
"""Stand for the ids of objects that exist when the request is sent."""

SUBNETS = [{"ip_version": 4, "cidr": "10.0.0.0/24"}, {"ip_version": 4, "cidr": "10.0.0.0/30"},
           {"ip_version": 6, "cidr": "fd00::/64"}, {"ip_version": 6, "cidr": "fd00:1::/126"}]  # fmt: skip

PLAUSIBLE = st.sampled_from([
    "10.0.0.0/24", "10.0.0.1", "10.0.0.5-10.0.0.9", "fd00::/64", "fd00::1", "0.0.0.0/0", "::/0", "255.255.255.255",
    "aa:bb:cc:dd:ee:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", "vlan", "gre", "vxlan", "flat", "local", "physnet1",
    "ACTIVE", "normal", "web1", "true", "False", "", "1", "-1", "4095", "00000000-0000-0000-0000-000000000000",
    "network:dhcp", "slaac", 4, 6, 0, 1, 77, 4095, 2**24, 2**32, 2**63 - 1, -1, 1.5, True, False, None,
])  # fmt: skip
"""Values that get past some check and should then meet the next."""

SCALARS = PLAUSIBLE | st.text(max_size=8) | st.integers() | st.floats() | st.none() | st.booleans()

INNER_KEYS = st.sampled_from([
    "ip_address", "subnet_id", "mac_address", "start", "end", "destination", "nexthop", "provider:network_type",
    "provider:physical_network", "provider:segmentation_id", "local_link_information", "switch_id", "port_id",
]) | st.text(max_size=4)  # fmt: skip

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def bodies(draw: st.DrawFn, resource: ResourceType) -> Any:
    """A body for the resource: nearly right, mostly."""
    shape = draw(st.sampled_from(["one", "one", "one", "one", "many", "anything"]))
    if shape == "anything":
        return draw(VALUES)
    values = VALUES | st.sampled_from(KNOWN)
    names = sorted(resource.attributes)

    def one() -> dict[str, Any]:
        given_names = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
        item = {name: draw(values) for name in given_names}
        if "network_id" in names and draw(st.integers(0, 9)):
            item["network_id"] = KNOWN[0]
        if resource.name == "subnet" and draw(st.integers(0, 4)):
            item |= draw(st.sampled_from(SUBNETS))
        return item

    if shape == "one":
        return {resource.name: one()}
    return {resource.collection: [one() for _ in range(draw(st.integers(0, 3)))]}


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request to a collection or an object in it. Words of :data:`KNOWN` stand for objects that exist; see
    :func:`filled`."""
    resource = draw(st.sampled_from(RESOURCE_TYPES))
    method = draw(st.sampled_from(["GET", "POST", "POST", "POST", "PUT", "PUT", "DELETE", "PATCH"]))
    path = f"/v2.0/{resource.collection}"
    if method in ("PUT", "DELETE") or (method == "GET" and draw(st.booleans())):
        path += "/" + draw(st.sampled_from(KNOWN) | IDS)
    request = Request.blank(path, method=method)
    if method == "GET":
        request.query_string = draw(query_strings(resource))
    elif method in ("POST", "PUT"):
        request.content_type = "application/json"
        body = draw(bodies(resource))
        request.body = json.dumps(body).encode()
    return request


@st.composite
def query_strings(draw: st.DrawFn, resource: ResourceType) -> str:
    """Parameters that exist with values that need not."""
    names = [*sorted(resource.attributes), "limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields", "x"]
    values = st.sampled_from([
        "", "1", "0", "-1", "true", "%ff", "%00", "a=b", "=", "ip_address=10.0.0.1", "subnet_id=x", "asc", "name",
        "id", "00000000-0000-0000-0000-000000000000", "10.0.0.0/8", "99999999999999999999", "1.5", "%ED%A0%80",
    ])  # fmt: skip
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), values), max_size=4))
    return "&".join(f"{name}={value}" for name, value in pairs)


def filled(request: Request, ids: Sequence[str]) -> Request:
    """The request with the ids of existing objects, as far as there are any."""
    for word, known in zip(KNOWN, ids, strict=False):
        request.environ["PATH_INFO"] = request.environ["PATH_INFO"].replace(word, known)
        if request.body:
            request.body = request.body.replace(word.encode(), known.encode())
    return request
