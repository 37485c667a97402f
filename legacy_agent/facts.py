"""What the agent says of its host: pure, from the configuration and what was read from the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES
from legacy_agent.drivers.api import AgentDriver, HostSettings, PlugDriver, UplinkDriver
from legacy_agent.host_plan import HostReport, device_name

_KEY_LENGTH = 11
"""Characters of a port id that tell which port a device is."""
_TAP_LENGTH = len(device_name("x" * 36))


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Names of the interfaces and all IP addresses of the host. ``endpoints`` maps port id -> interface, for VMs of
    which a driver knows."""

    interfaces: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    endpoints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Agent driver -> types it serves, and network type -> why no driver can realise it on this host.

    ``uplinks`` maps physical network -> interface (None: as the settings have it). ``vif_details`` maps agent driver
    -> what it adds to the binding of a port.
    """

    drivers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    uplinks: Mapping[str, str] | None = None
    vif_details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def combine(offers: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]) -> Capabilities:
    """Capabilities of several drivers (name -> types, limits): a type is limited when all that serve it say so."""
    limits: dict[str, str] = {}
    for network_type in {name for types, _ in offers.values() for name in types}:
        reasons = [found.get(network_type) for types, found in offers.values() if network_type in types]
        if all(reasons):
            limits[network_type] = "; ".join(reason for reason in reasons if reason)
    return Capabilities({name: types for name, (types, _) in offers.items()}, limits)


def capabilities_of(drivers: Mapping[str, AgentDriver], limits: Mapping[str, Mapping[str, str]],
                    settings: HostSettings) -> Capabilities:  # fmt: skip
    """What these drivers can do on this host; ``limits`` are what each of them said when it was asked."""
    found = combine({name: (driver.network_types, limits.get(name, {})) for name, driver in drivers.items()})
    uplinks: dict[str, str] = {}
    for driver in drivers.values():
        uplinks |= driver.uplinks if isinstance(driver, UplinkDriver) else settings.physical_interfaces
    details = {name: driver.vif_details for name, driver in drivers.items() if isinstance(driver, PlugDriver)}
    return replace(found, uplinks=uplinks, vif_details=details)


def report(settings: HostSettings, facts: HostFacts, capabilities: Capabilities, applied_revision: int,
           errors: Mapping[str, str], version: str) -> HostReport:  # fmt: skip
    """The whole report. What is configured but not there is left out, and explained in ``limits``."""
    limits = {**_configuration_limits(settings, facts, capabilities), **capabilities.limits}
    served = {name for types in capabilities.drivers.values() for name in types}
    tunnel_ip = settings.local_ip if settings.local_ip in facts.addresses else None
    usable = sorted((served & TUNNEL_TYPES) - set(limits))
    return HostReport(
        host=settings.host,
        applied_revision=applied_revision,
        tunnel_ip=tunnel_ip,
        tunnel_types=tuple(usable) if tunnel_ip else (),
        physical_networks=_present(settings, facts, capabilities),
        drivers=dict(capabilities.drivers),
        vif_details={name: dict(details) for name, details in capabilities.vif_details.items()},
        devices=devices(facts.interfaces) | {port_id[:_KEY_LENGTH]: name for port_id, name in facts.endpoints.items()},
        limits=limits,
        errors=dict(errors),
        version=version,
    )


def devices(interfaces: frozenset[str]) -> dict[str, str]:
    """First eleven characters of the port id -> tap, for each tap that exists."""
    prefix = device_name("")
    return {name[len(prefix) :]: name for name in sorted(interfaces)
            if name.startswith(prefix) and len(name) == _TAP_LENGTH}  # fmt: skip


def _mapped(settings: HostSettings, capabilities: Capabilities) -> Mapping[str, str]:
    return settings.physical_interfaces if capabilities.uplinks is None else capabilities.uplinks


def _present(settings: HostSettings, facts: HostFacts, capabilities: Capabilities) -> dict[str, str]:
    return {name: interface for name, interface in _mapped(settings, capabilities).items()
            if interface in facts.interfaces}  # fmt: skip


def _configuration_limits(settings: HostSettings, facts: HostFacts, capabilities: Capabilities) -> dict[str, str]:
    served = {name for types in capabilities.drivers.values() for name in types}
    limits: dict[str, str] = {}
    if settings.local_ip is None:
        limits = dict.fromkeys(served & TUNNEL_TYPES, "no tunnel address: [vxlan] local_ip is not set on this host")
    elif settings.local_ip not in facts.addresses:
        reason = f"the tunnel address {settings.local_ip} ([vxlan] local_ip) is on no interface of this host"
        limits = dict.fromkeys(served & TUNNEL_TYPES, reason)
    mapped = _mapped(settings, capabilities)
    if mapped and not _present(settings, facts, capabilities):
        missing = ", ".join(f"{name} -> {interface}" for name, interface in mapped.items())
        reason = f"no interface that a physical network is mapped to exists: {missing}"
        limits.update(dict.fromkeys(served & PHYSICAL_TYPES, reason))
    return limits
