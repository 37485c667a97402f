"""``isthmus check``: look the store over, without a controller and without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from oslo_config import cfg
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from controller import config
from controller.db.migrate import head, version
from controller.db.session import Store
from controller.errors import ConfigurationError
from controller.plugin.audit import audit
from typedrivers.manager import TypeManager


def findings(paths: Sequence[str]) -> list[str]:
    """What is wrong in the store that the configuration files name. Raises ConfigurationError when it cannot be
    looked at."""
    try:
        conf = config.load([word for path in paths for word in ("--config-file", path)])
    except (cfg.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(" ".join(str(error).split())) from error
    TypeManager.load(conf)
    store = _store(conf.database.connection)
    try:
        found = version(store.engine)
        if found != head():
            raise ConfigurationError(
                f"the store has schema {found or 'none'}, this program knows {head()}; start its controller once"
            )
        with store.read() as session:
            return audit(session)
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise ConfigurationError(f"[database] connection: the database cannot be read: {reason}") from error
    finally:
        store.dispose()


def _store(connection: str) -> Store:
    """The store as it is: neither a file nor its directory is made. Raises ConfigurationError."""
    with suppress(ArgumentError):  # the store says it better
        database = make_url(connection)
        if database.get_backend_name() == "sqlite" and not Path(str(database.database)).is_file():
            raise ConfigurationError(f"[database] connection: there is no file {database.database}")
    return Store(connection)
