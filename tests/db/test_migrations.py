"""A database of an earlier version comes along with all it says."""

from __future__ import annotations

import ipaddress

from alembic import command
from sqlalchemy import Connection, text

from controller.db import migrate
from controller.db.session import Store
from controller.plugin.api import Query
from controller.plugin.audit import audit
from controller.plugin.context import RequestContext
from tests.db.worker import plugin
from tests.support.store import ADMIN

STANDARD = {"description": "", "created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00",
            "revision_number": 1}  # fmt: skip


def insert(connection: Connection, table: str, **values: object) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


def fill(connection: Connection) -> None:
    """A shared network with an address in use, as version 0001 wrote them."""
    insert(connection, "networks", id="n", key=1, project_id="red", name="old", admin_state_up=True, status="ACTIVE",
           shared=True, external=True, mtu=1400, port_security_enabled=True, **STANDARD)  # fmt: skip
    insert(connection, "network_segments", id="g", network_id="n", position=0, name="", network_type="gre",
           segmentation_id=7, **STANDARD)  # fmt: skip
    insert(connection, "gre_allocations", tunnel_id=7, segment_id="g")
    insert(connection, "subnets", id="s", network_id="n", project_id="red", name="", ip_version=4, cidr="10.0.0.0/24",
           enable_dhcp=True, dns_nameservers="[]", host_routes="[]", **STANDARD)  # fmt: skip
    first, last = (ipaddress.ip_address(f"10.0.0.{number}").packed for number in (2, 254))
    insert(connection, "allocation_pools", subnet_id="s", first=first, last=last)
    insert(connection, "ports", id="p", network_id="n", project_id="red", name="", mac_address="fa:16:3e:00:00:01",
           admin_state_up=True, device_id="", device_owner="", port_security_enabled=True, status="DOWN",
           status_reason="", intent_revision=0, **STANDARD)  # fmt: skip
    insert(connection, "port_bindings", port_id="p", host="", vnic_type="normal", profile="{}", auto_bound=False,
           vif_type="unbound", vif_details="{}", refusal="")  # fmt: skip
    insert(connection, "ip_allocations", subnet_id="s", address=ipaddress.ip_address("10.0.0.57").packed, port_id="p",
           network_id="n", position=0)  # fmt: skip


def test_the_first_schema_is_brought_up_to_date(url: str) -> None:
    store = Store(url)
    with store.engine.execution_options(isthmus_write=True).begin() as connection:
        command.upgrade(migrate.configuration(connection), "0001")
        fill(connection)
    store.dispose()
    made = plugin(url)
    network = made.get(RequestContext(project_id="blue"), "network", "n")
    assert (network["shared"], network["router:external"], network["tags"]) == (True, True, [])
    policies = {(item["action"], item["target_tenant"], item["project_id"]) for item in
                made.list(ADMIN, "rbac_policy", Query())}  # fmt: skip
    assert policies == {("access_as_shared", "*", "red"), ("access_as_external", "*", "red")}
    part = Query(filters={"fixed_ips": [{"ip_address_substr": "0.5"}]})
    assert [port["id"] for port in made.list(ADMIN, "port", part)] == ["p"]
    port = made.get(ADMIN, "port", "p")
    assert (port["propagate_uplink_status"], port["extra_dhcp_opts"]) == (True, [])
    assert made.update(ADMIN, "network", "n", {"shared": False})["shared"] is False
    assert made.create(ADMIN, "port", {"network_id": "n"})["fixed_ips"][0]["ip_address"] == "10.0.0.58"
    with made._store.read() as session:
        assert audit(session) == []
