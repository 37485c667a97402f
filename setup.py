"""Packaging of Isthmus: the folders at the top level are the import packages."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ("controller", "typedrivers", "mechanisms", "legacy_agent", "topology")

setup(
    name="isthmus",
    version="0.1.0",
    description="A layer-2 SDN controller for OpenFlow switches and plain Linux hosts on the same networks",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[name for name in find_packages() if name.split(".")[0] in PACKAGES],
    package_data={"controller.db": ["migrations/*.mako"]},
    data_files=[
        (
            "share/isthmus",
            ["etc/isthmus.conf", "etc/systemd/isthmus-agent.service", "etc/systemd/isthmus-controller.service"],
        ),
    ],
    install_requires=[
        "alembic>=1.13",
        "eventlet>=0.36",
        "keystoneauth1>=5.0",
        "keystonemiddleware>=10.0",
        "netaddr>=1.0",
        "networkx>=3.0",
        "neutron-lib>=3.24",
        "orjson>=3.9",
        "os-ken>=3.1.1,<4",
        "openstacksdk>=3.0",
        "oslo.config>=9.0",
        "oslo.policy>=4.0",
        "ovs>=2.17",
        "ovsdbapp>=2.3",
        "prometheus-client>=0.20",
        "PyYAML>=6.0",
        "pyroute2>=0.7.12",
        "SQLAlchemy>=2.0.22",
        "stevedore>=5.0",
        "WebOb>=1.8.8",
    ],
    extras_require={
        "postgresql": ["psycopg2-binary>=2.9"],
        "test": [
            "hypothesis>=6.100",
            "jsonschema>=4.0",
            "keystone>=25.0",
            "mypy>=2.4,<2.5",
            "python-openstackclient>=6.0",
            "psycopg2-binary>=2.9",
            "pytest>=8.0",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            "ruff>=0.17,<0.18",
            "schemathesis>=4.0",
            "setuptools>=68",
            "waitress>=3.0",
            "wheel>=0.40",
        ],
    },
    entry_points={
        "console_scripts": [
            "isthmus-controller = controller.main:main",
            "isthmus-agent = legacy_agent.main:main",
            "isthmus = controller.cli.main:main",
        ],
        "isthmus.type_drivers": [
            "local = typedrivers.local:LocalTypeDriver",
            "flat = typedrivers.flat:FlatTypeDriver",
            "vlan = typedrivers.vlan:VlanTypeDriver",
            "gre = typedrivers.gre:GreTypeDriver",
            "vxlan = typedrivers.vxlan:VxlanTypeDriver",
            "geneve = typedrivers.geneve:GeneveTypeDriver",
        ],
        "isthmus.mechanism_drivers": [
            "openflow = mechanisms.openflow.driver:OpenFlowMechanismDriver",
            "linuxbridge = mechanisms.linuxbridge:LinuxBridgeMechanismDriver",
            "openvswitch = mechanisms.openvswitch:OpenVSwitchMechanismDriver",
            "fake = mechanisms.fake:FakeMechanismDriver",
        ],
        "isthmus.agent_drivers": [
            "linuxbridge = legacy_agent.drivers.linuxbridge:LinuxBridgeAgentDriver",
            "openvswitch = legacy_agent.drivers.openvswitch:OpenVSwitchAgentDriver",
        ],
    },
)
