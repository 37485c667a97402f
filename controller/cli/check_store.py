"""``isthmus check``: look the store over, without a controller and without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg
from sqlalchemy import make_url

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
    database = make_url(conf.database.connection)
    if database.get_backend_name() == "sqlite" and not Path(str(database.database)).is_file():
        raise ConfigurationError(f"[database] connection: there is no file {database.database}")
    store = Store(conf.database.connection)
    try:
        found = version(store.engine)
        if found != head():
            raise ConfigurationError(
                f"the store has schema {found or 'none'}, this program knows {head()}; start its controller once"
            )
        with store.read() as session:
            return audit(session)
    finally:
        store.dispose()
