"""The cloud that the environment names, as for every OpenStack client: ``OS_*`` variables or ``clouds.yaml``.

openstacksdk, which reads them, is imported only if there is something to read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from controller.cli.client import ClientError
from controller.identity import Credentials, tls_context

NAMING = ("OS_CLOUD", "OS_AUTH_URL", "OS_ENDPOINT")
"""One of these variables says that there is a cloud."""

SOURCE = "the OS_* variables or clouds.yaml"

PATIENCE = 30.0
"""Seconds that Keystone has to answer unless ``api_timeout`` of the cloud says otherwise."""


class Cloud:
    """One cloud: how to authenticate, whom to trust, where the Networking API is."""

    def __init__(self, region: Any) -> None:
        """``region`` is openstacksdk's ``CloudRegion``."""
        self._region = region

    def _session(self) -> Any:
        """The session that the region keeps, with a deadline."""
        session = self._region.get_session()
        session.timeout = session.timeout or PATIENCE
        return session

    def credentials(self) -> Credentials:
        """For requests to its API. Raises ClientError."""
        verify, certificate = self._region.get_requests_verify_args()
        certfile, keyfile = certificate if isinstance(certificate, tuple) else (certificate, None)
        try:
            tls = tls_context(verify if isinstance(verify, str) else None, certfile, keyfile, verify is False)
            return Credentials(self._session(), tls, SOURCE)
        except OSError as error:
            raise ClientError(f"the certificate files of {SOURCE} cannot be used: {error}") from error
        except Exception as error:  # openstacksdk's, keystoneauth's and os-service-types' have no common base
            raise _unusable(error) from error

    def url(self) -> str:
        """Base URL of the Networking API as its catalogue has it. Raises ClientError."""
        try:
            self._session()  # which the next call takes too
            found = self._region.get_session_endpoint("network")
        except Exception as error:
            raise _unusable(error) from error
        if not found:
            raise ClientError("the cloud's catalogue has no endpoint of type network; say --url")
        return str(found).rstrip("/").removesuffix("/v2.0")


def find(name: str | None, environment: Mapping[str, str] = os.environ) -> Cloud | None:
    """The cloud called so, else the one of the environment; None if nothing names one. Raises ClientError."""
    if not name and not any(environment.get(variable) for variable in NAMING):
        return None
    from openstack.config import OpenStackConfig

    try:
        return Cloud(OpenStackConfig().get_one(cloud=name))
    except Exception as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> ClientError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ClientError(f"cannot authenticate: {reason}; look at {SOURCE}")
