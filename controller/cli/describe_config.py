"""``docs/configuration.md`` from the registered options: ``python -m controller.cli.describe_config > FILE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from oslo_config import cfg

from controller import config

HEADER = """# Configuration

Generated from the registered options (`make docs`); do not edit. A sample with the options that matter is
`etc/isthmus.conf`.

Controller and agent read the same INI files, each what concerns it: `--config-file FILE`, several times if need be; of
an option that is in two files the later counts. An existing `ml2_conf.ini` or `linuxbridge_agent.ini` can be one of
them. Lists are separated by commas, pairs are `name:value`. `isthmus check-config FILE` tells what is wrong with a
file, and what in it nobody reads.

Beside these, the libraries read their own: `[keystone_authtoken]` (keystonemiddleware) and `[oslo_policy]`, see
[access.md](access.md); `[auth]` takes the options of the keystoneauth plugin that it names. Of `[DEFAULT]` os-ken
reads what [access.md](access.md) says of TLS with switches, and where the controller's log goes: `log_file`,
`log_dir`, `use_syslog`, `verbose`.
"""

SECTIONS = {
    "DEFAULT": "Read by the controller.",
    "database": "Read by the controller and by API processes.",
    "api": "The northbound API.",
    "quotas": "Defaults per project; `openstack quota set` goes before them.",
    "ml2": "Network types and mechanisms.",
    "ml2_type_flat": "",
    "ml2_type_vlan": "",
    "ml2_type_gre": "",
    "ml2_type_vxlan": "",
    "ml2_type_geneve": "",
    "openflow": "Sessions with switches. Read by the controller.",
    "ovsdb": "Open vSwitch's own database, by which the controller makes tunnel ports and sees what is plugged in.",
    "topology": "Links between OpenFlow switches, see [fabric.md](fabric.md). Read by the controller.",
    "agent": "Read by `isthmus-agent`, but for what says otherwise.",
    "auth": "The agent's credentials, see [access.md](access.md).",
    "linux_bridge": "The agent driver `linuxbridge`.",
    "ovs": "The agent driver `openvswitch`, see [operations.md](operations.md).",
    "vxlan": "Tunnels of the agent's host, GRE ones too.",
}
"""What is said of each group, in the order of the page."""


def page() -> str:
    """The whole page."""
    return "\n".join([HEADER, *(line for group, text in SECTIONS.items() for line in _section(group, text))])


def _section(group: str, text: str) -> Iterator[str]:
    yield f"## [{group}]\n"
    if text:
        yield f"{text}\n"
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    yield from map(_row, config.GROUPS[group])
    yield ""


def _row(option: cfg.Opt) -> str:
    return f"| `{option.name}` | {_default(option.default)} | {_meaning(option)} |"


def _default(value: object) -> str:
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(value)}`" if isinstance(value, list) else f"`{value}`"


def _meaning(option: cfg.Opt) -> str:
    choices = getattr(option.type, "choices", None)
    parts = [option.help.replace("|", "\\|").replace("<", "\\<")]
    if choices:
        parts.append(f"One of {', '.join(f'`{choice}`' for choice in choices)}.")
    for old in option.deprecated_opts:
        parts.append(f"Also read: `{f'[{old.group}] ' if old.group else ''}{old.name or option.name}`.")
    return " ".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
