"""What the agent says of its host: pure, from the configuration and what was read from the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES
from legacy_agent.drivers.api import HostSettings
from legacy_agent.host_plan import HostReport, device_name

_TAP_LENGTH = len(device_name("x" * 36))


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Names of the interfaces and all IP addresses of the host."""

    interfaces: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Agent driver -> types it serves, and network type -> why no driver can realise it in this kernel."""

    drivers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)


def combine(offers: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]) -> Capabilities:
    """Capabilities of several drivers (name -> types, limits): a type is limited when all that serve it say so."""
    limits: dict[str, str] = {}
    for network_type in {name for types, _ in offers.values() for name in types}:
        reasons = [found.get(network_type) for types, found in offers.values() if network_type in types]
        if all(reasons):
            limits[network_type] = "; ".join(reason for reason in reasons if reason)
    return Capabilities({name: types for name, (types, _) in offers.items()}, limits)


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
        physical_networks=_present(settings, facts),
        drivers=dict(capabilities.drivers),
        devices=devices(facts.interfaces),
        limits=limits,
        errors=dict(errors),
        version=version,
    )


def devices(interfaces: frozenset[str]) -> dict[str, str]:
    """First eleven characters of the port id -> tap, for each tap that exists."""
    prefix = device_name("")
    return {name[len(prefix) :]: name for name in sorted(interfaces)
            if name.startswith(prefix) and len(name) == _TAP_LENGTH}  # fmt: skip


def _present(settings: HostSettings, facts: HostFacts) -> dict[str, str]:
    return {name: interface for name, interface in settings.physical_interfaces.items()
            if interface in facts.interfaces}  # fmt: skip


def _configuration_limits(settings: HostSettings, facts: HostFacts, capabilities: Capabilities) -> dict[str, str]:
    served = {name for types in capabilities.drivers.values() for name in types}
    limits: dict[str, str] = {}
    if settings.local_ip is None:
        limits = dict.fromkeys(served & TUNNEL_TYPES, "no tunnel address: [vxlan] local_ip is not set on this host")
    elif settings.local_ip not in facts.addresses:
        reason = f"the tunnel address {settings.local_ip} ([vxlan] local_ip) is on no interface of this host"
        limits = dict.fromkeys(served & TUNNEL_TYPES, reason)
    if settings.physical_interfaces and not _present(settings, facts):
        missing = ", ".join(f"{name} -> {interface}" for name, interface in settings.physical_interfaces.items())
        reason = f"no interface of [linux_bridge] physical_interface_mappings exists: {missing}"
        limits.update(dict.fromkeys(served & PHYSICAL_TYPES, reason))
    return limits
