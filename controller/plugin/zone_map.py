"""Which availability zone a host is in, as the configuration says."""

from __future__ import annotations

from oslo_config import cfg


class ZoneMap:
    """``[agent] availability_zone`` for all hosts but those in ``[agent] availability_zones``."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._usual = str(conf.agent.availability_zone)
        self._named = {str(host): str(zone) for host, zone in conf.agent.availability_zones.items()}

    def of_host(self, host: str) -> str:
        """The zone of a host."""
        return self._named.get(host, self._usual)
