"""``isthmus check-config FILE``: everything about a configuration that can be known without starting anything."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable, Iterator
from configparser import Error as ParserError
from configparser import RawConfigParser
from contextlib import suppress
from pathlib import Path

from oslo_config import cfg
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from controller import config, identity
from controller.api.policy import Policy
from controller.api.proxies import public_url
from controller.db import engine
from controller.errors import ConfigurationError, IsthmusError
from controller.plugin.addresses import MacSource
from mechanisms.manager import MechanismManager
from topology import cables, tags
from typedrivers.manager import TypeManager

READ_BY_LIBRARIES = frozenset({"keystone_authtoken", "oslo_policy"})
READ_BY_OS_KEN = frozenset({
    "ctl_privkey", "ctl_cert", "ca_certs", "ciphers", "ofp_ssl_listen_port", "default_log_level", "log_config_file",
    "log_dir", "log_file", "log_file_mode", "use_stderr", "use_syslog", "verbose",
})  # fmt: skip
"""Of [DEFAULT], by which the controller's log and TLS with switches are set."""


def problems(path: str) -> list[str]:
    """What is wrong with the file, one line each; empty when a controller could start with it."""
    if not Path(path).is_file():
        return [f"{path}: no such file"]
    try:
        conf = config.load(["--config-file", path])
    except (cfg.Error, UnicodeDecodeError) as error:
        return [f"{path}: {_line(error)}"]
    found = [*_bad_values(conf)]
    return found or [*_bad_parts(conf)]


def unknown_options(path: str) -> list[str]:
    """Groups and options that no part of Isthmus reads: right in a shared ml2_conf.ini, else likely a slip."""
    parser = RawConfigParser(strict=False, allow_no_value=True, default_section="")
    try:
        parser.read(path)
    except (ParserError, UnicodeDecodeError):
        return []
    found = []
    for group in parser.sections():
        if group in READ_BY_LIBRARIES:
            continue
        known = _names(group) | (_names_of_plugin(parser) if group == identity.GROUP else set())
        known |= READ_BY_OS_KEN if group == "DEFAULT" else frozenset()
        if not known:
            found.append(f"[{group}] is not read by Isthmus")
        else:
            found += [f"[{group}] {name} is not read by Isthmus" for name in parser[group] if name not in known]
    return found


def _names(group: str) -> set[str]:
    names = set()
    for option in config.GROUPS.get(group, ()):
        names |= {option.dest} | {deprecated.name for deprecated in option.deprecated_opts if deprecated.name}
    return names


def _names_of_plugin(parser: RawConfigParser) -> set[str]:
    """What the authentication plugin reads that the file names."""
    try:
        name = parser.get(identity.GROUP, "auth_type", fallback="")
        return {option.dest for option in identity.plugin_options(name)} if name else set()
    except IsthmusError:
        return set()


def _bad_values(conf: cfg.ConfigOpts) -> Iterator[str]:
    for group, options in config.GROUPS.items():
        values = conf if group == "DEFAULT" else conf[group]
        for option in options:
            try:
                values[option.dest]
            except (cfg.Error, ValueError) as error:
                yield f"[{group}] {option.name}: {_plain(_line(error), option.name)}"


def _bad_parts(conf: cfg.ConfigOpts) -> Iterator[str]:
    """Make the parts as the controller would; they check their own options."""
    makers: tuple[Callable[[], object], ...] = (
        lambda: TypeManager.load(conf),
        lambda: MechanismManager.load(conf.ml2.mechanism_drivers),
        lambda: identity.from_configuration(conf),
        lambda: tags.parse(conf.topology.physical_networks),
        lambda: cables.read_plan(conf.topology.cable_plan) if conf.topology.cable_plan else None,
        lambda: MacSource(conf.base_mac, random.randrange),
        lambda: _database(conf.database.connection),
        lambda: Policy(conf),
        lambda: public_url(conf.api.public_url),
        lambda: _certificate(conf.api.tls_cert, conf.api.tls_key),
    )
    for make in makers:
        try:
            make()
        except IsthmusError as error:
            yield _line(error)


def _database(connection: str) -> None:
    """A file is not looked for: the controller makes it. Raises ConfigurationError."""
    with suppress(ArgumentError):  # the engine says it better
        url = make_url(connection)
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            return
    engine.create(connection, 0.0).dispose()


def _certificate(cert: str | None, key: str | None) -> None:
    """Raises ConfigurationError."""
    if not cert:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigurationError(f"[api] tls_cert {cert}, tls_key {key or cert}: cannot be used: {error}") from error


def _plain(text: str, name: str) -> str:
    """oslo.config's words without its objects, and without what the line says already."""
    text = re.sub(r" from LocationInfo\(.*? detail='[^']*'\)", "", text)
    text = re.sub(r"OrderedDict\(\[(.*)\]\)", lambda found: re.sub(r"\((.*?), None\)", r"\1", found[1]), text)
    return text.removeprefix(f"Value for option {name} is not valid: ")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
