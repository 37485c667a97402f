"""What a switch may lack besides network types; the names are keys of a node's ``limits``, with the reason."""

from __future__ import annotations

BASE = "base"
"""What every network needs; a switch without it carries none."""

PORT_SECURITY = "port_security"
"""To look at the sources of what ports send. Without, only ports with ``port_security_enabled`` false are bound."""

INDIRECT, FAST_FAILOVER = "indirect", "fast_failover"
"""Group types; programs do without them."""
