"""Alembic's environment and the versions of the schema; shipped in the package and run at start."""
