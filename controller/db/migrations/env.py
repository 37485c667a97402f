"""What Alembic runs: migrate the database on the connection that :mod:`controller.db.migrate` hands over."""

from __future__ import annotations

from importlib import import_module

from alembic import context

from controller.db.base import Base

for name in ("controller.db.models", *(f"typedrivers.{kind}" for kind in ("flat", "vlan", "gre", "vxlan", "geneve"))):
    import_module(name)  # so that the metadata has every table when a new version is generated

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_server_default=False,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
