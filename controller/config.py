"""Every option of the controller and of the agent, with ml2_conf.ini's names where one exists.

``register(conf)`` makes them known to an oslo.config object: the process-wide one of os-ken under ``osken-manager``,
or one of its own in tests (:func:`load`). An existing ``ml2_conf.ini`` is read as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg

ML2 = [
    cfg.ListOpt("type_drivers", default=["local", "flat", "vlan", "gre", "vxlan", "geneve"],
                help="Network types that may exist, by entry point name (isthmus.type_drivers)."),
    cfg.ListOpt("project_network_types", default=["vxlan"], deprecated_name="tenant_network_types",
                help="Types tried in order when a project creates a network without provider attributes."),
    cfg.ListOpt("mechanism_drivers", default=["openflow", "linuxbridge", "openvswitch"],
                help="Mechanism drivers, asked in order (isthmus.mechanism_drivers)."),
    cfg.ListOpt("extension_drivers", default=[], help="Read for compatibility; port security is always there."),
    cfg.IntOpt("path_mtu", default=0, min=0,
               help="MTU of the IP underlay of tunnels (0: the value of global_physnet_mtu)."),
    cfg.ListOpt("physical_network_mtus", default=[], help="<physical network>:<MTU> pairs."),
    cfg.IntOpt("overlay_ip_version", default=4, choices=(4, 6), help="IP version of tunnel endpoints."),
    cfg.StrOpt("external_network_type", help="Read for compatibility."),
]  # fmt: skip

FLAT = [
    cfg.ListOpt("flat_networks", default=["*"], help="Physical networks with flat networks; * allows any name."),
]

VLAN = [
    cfg.ListOpt("network_vlan_ranges", default=[],
                help="<physical network>[:<first>:<last>]: VLAN ids that projects get; a name alone allows only "
                     "provider networks."),
]  # fmt: skip

GRE = [cfg.ListOpt("tunnel_id_ranges", default=["1:1000"], help="<first>:<last> GRE keys that projects get.")]

VXLAN = [
    cfg.ListOpt("vni_ranges", default=["1:1000"], help="<first>:<last> VXLAN network ids that projects get."),
    cfg.StrOpt("vxlan_group", help="Read for compatibility; broadcast is replicated to endpoints instead."),
]

GENEVE = [
    cfg.ListOpt("vni_ranges", default=["1:1000"], help="<first>:<last> Geneve network ids that projects get."),
    cfg.IntOpt(
        "max_header_size",
        default=38,
        min=30,
        help="Bytes of Geneve encapsulation, for the MTU (at least 30, without options).",
    ),
]

DATABASE = [
    cfg.StrOpt("connection", default="sqlite:////var/lib/isthmus/isthmus.sqlite", secret=True,
               help="SQLAlchemy URL: SQLite by file, PostgreSQL by postgresql+psycopg2://user:pw@host/db."),
    cfg.IntOpt("max_retries", default=10, min=0, help="How often a transaction is tried again after a conflict."),
]  # fmt: skip

API = [
    cfg.HostAddressOpt("bind_host", default="127.0.0.1", help="Address of the northbound API."),
    cfg.PortOpt("bind_port", default=9696, help="Port of the northbound API."),
    cfg.StrOpt(
        "auth_strategy",
        default="noauth",
        choices=("noauth", "keystone"),
        deprecated_group="DEFAULT",
        help="Who may call the API: everybody as administrator (noauth), or whoever has a token of the "
        "Keystone that [keystone_authtoken] names.",
    ),
    cfg.StrOpt(
        "public_url",
        deprecated_name="network_link_prefix",
        deprecated_group="DEFAULT",
        help="URL at which clients reach the API, for links in answers, e.g. https://network.example.org (default: as "
        "the request says, with X-Forwarded-Proto, -Host and -Prefix of proxies).",
    ),
    cfg.StrOpt("tls_cert", help="PEM file with the API's certificate and those between it and the root: serve https."),
    cfg.StrOpt("tls_key", help="PEM file with the certificate's private key (default: it is in tls_cert)."),
    cfg.IntOpt("max_body_size", default=8 << 20, min=1024, help="Largest accepted request body in bytes."),
    cfg.IntOpt("pagination_max_limit", default=-1, help="Largest page (-1: no limit)."),
]

OPENFLOW = [
    cfg.HostAddressOpt("listen_host", default="0.0.0.0", help="Address on which switches connect."),
    cfg.PortOpt("listen_port", default=6653, help="Port on which switches connect."),
    cfg.DictOpt("uplinks", default={},
                help="<physical network>:<port name> pairs for switches without OVSDB: a port of that name is the "
                     "uplink into the physical network."),
    cfg.FloatOpt("request_timeout", default=10.0, min=0.1, help="Seconds a switch has to answer a request."),
    cfg.FloatOpt("echo_interval", default=5.0, min=0.1, help="Seconds between echo requests."),
    cfg.FloatOpt("audit_interval", default=300.0, min=0.0,
                 help="Seconds between background audits of each switch (0: none)."),
    cfg.FloatOpt("retry_max", default=30.0, min=0.1, help="Largest back-off in seconds after a failed apply."),
]  # fmt: skip

TOPOLOGY = [
    cfg.ListOpt("physical_networks", default=[],
                help="Physical networks that links between OpenFlow switches carry: <name>, or <name>:<first>:<last> "
                     "for some of its VLAN ids only (0: its flat network). Links are looked for if there are any."),
    cfg.FloatOpt("probe_interval", default=2.0, min=0.1,
                 help="Seconds between two LLDP probes of a port; longer where probe_rate asks for it."),
    cfg.FloatOpt("probe_rate", default=1000.0, min=1.0, help="LLDP probes per second at most, over all ports."),
    cfg.FloatOpt("hold_time", default=15.0, min=0.0,
                 help="Seconds after the start in which switches keep their programs until all known ones are back, "
                      "so that their links can be found again."),
    cfg.BoolOpt("fast_failover", default=True,
                help="Give switches alternatives that they take by themselves when a port goes down (fast-failover "
                     "groups)."),
    cfg.FloatOpt("address_age", default=300.0, min=2.0,
                 help="Seconds without a frame after which an address that nobody manages is forgotten."),
    cfg.FloatOpt("address_rate", default=100.0, min=1.0,
                 help="New addresses a second that are learned at a switch port; above it none is for a while."),
    cfg.IntOpt("address_limit", default=4096, min=1, help="Addresses that are learned per network at most."),
    cfg.StrOpt("cable_plan",
               help="YAML file with the cables that should be there; it is compared with the links that are found and "
                    "changes no forwarding. A plan stored by the API (isthmus/cables) takes its place."),
    cfg.StrOpt("secret", secret=True,
               help="Key of the digest in LLDP probes (default: a new one at every start)."),
]  # fmt: skip

OVSDB = [
    cfg.BoolOpt("enabled", default=True, help="Reach Open vSwitch by OVSDB at the address its OpenFlow comes from."),
    cfg.PortOpt("port", default=6640, help="Port of the switches' OVSDB server (ovs-vsctl set-manager ptcp:6640)."),
    cfg.DictOpt("remotes", default={},
                help="<datapath id in hex>:<ovsdb remote> for switches whose OVSDB is elsewhere, e.g. "
                     "0000000000000001:unix:/run/openvswitch/db.sock."),
    cfg.FloatOpt("timeout", default=10.0, min=0.1, help="Seconds an OVSDB transaction may take."),
]  # fmt: skip

AGENT = [
    cfg.StrOpt("host", help="Name of this host as binding:host_id has it (default: the host name)."),
    cfg.StrOpt("controller_url", default="http://127.0.0.1:9696",
               help="Base URL of the northbound API; of several, by commas, the next is asked when one fails."),
    cfg.ListOpt("drivers", default=["linuxbridge"],
                help="Agent drivers (isthmus.agent_drivers), each with the network types that it shall serve or "
                     "without, for all it can: linuxbridge:flat,vxlan openvswitch:vlan,gre."),
    cfg.FloatOpt("report_interval", default=10.0, min=0.1, help="Seconds between reports of an idle agent."),
    cfg.FloatOpt("agent_down_time", default=30.0, min=0.1,
                 help="Seconds without a report after which the controller holds a host to be down."),
    cfg.StrOpt("availability_zone", default="nova",
               help="Availability zone of every host that availability_zones does not name (for the controller)."),
    cfg.DictOpt("availability_zones", default={},
                help="<host>:<availability zone> pairs of hosts elsewhere (for the controller)."),
    cfg.FloatOpt("plan_timeout", default=30.0, min=0.1,
                 help="Seconds the agent lets the controller wait for a newer plan before it asks again."),
    cfg.FloatOpt("audit_interval", default=60.0, min=1.0,
                 help="Seconds between the agent's comparisons of an idle host with its plan."),
    cfg.FloatOpt("retry_max", default=30.0, min=0.1, help="Largest back-off of the agent in seconds."),
    cfg.StrOpt("lock_directory", default="/run/isthmus-agent",
               help="Where the agent sees to it that it is the only one of its host; none: it does not."),
]  # fmt: skip

AUTH = [
    cfg.StrOpt("auth_type", help="How the agent gets its tokens, e.g. password or v3applicationcredential; further "
               "options are that keystoneauth plugin's (auth_url, username ...). Default: no token."),
    cfg.StrOpt("cafile", help="PEM file of the authorities that sign the controller's and Keystone's certificates."),
    cfg.StrOpt("certfile", help="PEM file with the certificate that the agent shows."),
    cfg.StrOpt("keyfile", help="PEM file with its private key (default: it is in certfile)."),
    cfg.BoolOpt("insecure", default=False, help="Trust any certificate."),
    cfg.FloatOpt("timeout", default=10.0, min=0.1, help="Seconds that Keystone has to answer the agent."),
]  # fmt: skip

LINUX_BRIDGE = [
    cfg.ListOpt("physical_interface_mappings", default=[], help="<physical network>:<interface> pairs of this host."),
]

OVS = [
    cfg.StrOpt("integration_bridge", default="isthmus-int",
               help="Open vSwitch bridge that the agent makes and VMs of this host are plugged into."),
    cfg.ListOpt("physical_interface_mappings", default=[],
                help="<physical network>:<interface> pairs; the interface becomes a port of the integration bridge."),
    cfg.ListOpt("bridge_mappings", default=[],
                help="<physical network>:<bridge> pairs; the integration bridge is patched to that bridge of yours."),
    cfg.StrOpt("datapath_type", default="system", choices=("system", "netdev"),
               help="Datapath of the integration bridge: the kernel's, or the one in user space."),
    cfg.StrOpt("ovsdb_connection", default="unix:/run/openvswitch/db.sock",
               help="Database of Open vSwitch: unix:<path> or tcp:<address>:<port>."),
    cfg.StrOpt("run_directory",
               help="Where ovs-vswitchd has its sockets (default: where the database's is, else /run/openvswitch)."),
    cfg.IPOpt("local_ip", help="Tunnel address of this host where [vxlan] local_ip is not set."),
]  # fmt: skip

AGENT_VXLAN = [
    cfg.IPOpt("local_ip", help="Tunnel address of this host (GRE and VXLAN)."),
    cfg.PortOpt("udp_dstport", default=4789, help="UDP port of VXLAN; Open vSwitch uses 4789."),
    cfg.BoolOpt("enable_vxlan", default=True, help="Whether tunnels may be made on this host."),
    cfg.BoolOpt("l2_population", default=True, help="Read for compatibility; the FDB is always static."),
]

DEFAULT = [
    cfg.IntOpt("global_physnet_mtu", default=1500, min=68, help="MTU of physical networks not named elsewhere."),
    cfg.StrOpt("base_mac", default="fa:16:3e:00:00:00", help="Pattern of generated MAC addresses."),
    cfg.BoolOpt("arp_responder", default=True, help="Answer ARP for known ports on the first switch."),
    cfg.IntOpt("max_allowed_address_pair", default=10, min=0, help="Allowed address pairs that a port may have."),
]

QUOTAS = [
    cfg.IntOpt(f"quota_{name}", default=default, min=-1, help=f"{what} that a project may have (-1: any number).")
    for name, default, what in (
        ("network", 100, "Networks"),
        ("subnet", 100, "Subnets"),
        ("port", 500, "Ports"),
        ("subnetpool", -1, "Subnet pools"),
        ("rbac_policy", 10, "RBAC policies"),
    )
]

GROUPS: dict[str, Sequence[cfg.Opt]] = {
    "DEFAULT": DEFAULT,
    "ml2": ML2,
    "ml2_type_flat": FLAT,
    "ml2_type_vlan": VLAN,
    "ml2_type_gre": GRE,
    "ml2_type_vxlan": VXLAN,
    "ml2_type_geneve": GENEVE,
    "database": DATABASE,
    "api": API,
    "quotas": QUOTAS,
    "openflow": OPENFLOW,
    "topology": TOPOLOGY,
    "ovsdb": OVSDB,
    "agent": AGENT,
    "auth": AUTH,
    "linux_bridge": LINUX_BRIDGE,
    "ovs": OVS,
    "vxlan": AGENT_VXLAN,
}


def register(conf: cfg.ConfigOpts) -> None:
    """Make every option known to ``conf``; repeating it is harmless."""
    for group, options in GROUPS.items():
        conf.register_opts(options, group=None if group == "DEFAULT" else group)


def load(args: Sequence[str] = (), prog: str = "isthmus") -> cfg.ConfigOpts:
    """A configuration of its own from command-line arguments, e.g. ``["--config-file", path]``."""
    conf = cfg.ConfigOpts()
    register(conf)
    conf(args=list(args), project="isthmus", prog=prog, default_config_files=[])
    return conf
