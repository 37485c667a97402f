"""The declarative base of every table, and the column types that both databases must order alike."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that a later migration can change it on either database."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Base(DeclarativeBase):
    """Base of all models; type drivers put their allocation tables into its metadata."""

    metadata = MetaData(naming_convention=NAMES)


class PackedAddress(TypeDecorator[Address]):
    """An IP address as 4 or 16 bytes, so that the database orders addresses of one version by their value."""

    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value: Address | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        return None if value is None else value.packed

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Address | None:  # noqa: ARG002
        return None if value is None else ipaddress.ip_address(bytes(value))


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC; aware in Python, naive in the database (SQLite knows no zones)."""

    impl = DateTime()
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """Before SQLAlchemy 2.1 a decorated type does not know it by itself; sorting asks for it."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


class TimeText(TypeDecorator[str]):
    """A :class:`UtcTime` that is only shown, as text of the form that the API has."""

    impl = DateTime()
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else f"{value.isoformat()[:19]}Z"
