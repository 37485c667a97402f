"""Whose MAC address it is: asked for frames that switches show to the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.intent import Intent


class Owners:
    """Looks addresses up in the intent that ``intent()`` returns; never blocks.

    The addresses of a network are gathered when the first is asked for after the network changed: the intent itself
    need not know them.
    """

    def __init__(self, intent: Callable[[], Intent]) -> None:
        self._intent = intent
        self._ids: Mapping[int, str] = {}
        self._known: dict[str, tuple[object, Mapping[str, str]]] = {}

    def __call__(self, network_key: int, mac: str) -> tuple[str, str | None] | None:
        """The network with that key, and the node of its bound port with that address, None if there is none. None if
        there is no such network."""
        intent = self._intent()
        network_id = self._network(intent, network_key)
        if network_id is None:
            return None
        version, known = intent.version_of(network_id), self._known.get(network_id)
        if known is None or known[0] is not version:
            ports = list(intent.bound_ports(network_id).values())
            nodes = {port.mac_address: port.binding.node_id for port in ports if port.binding is not None}
            known = self._known[network_id] = (version, nodes)
        return network_id, known[1].get(mac)

    def _network(self, intent: Intent, key: int) -> str | None:
        network = intent.networks.get(self._ids.get(key, ""))
        if network is None or network.key != key:
            self._ids = {each.key: each.id for each in list(intent.networks.values())}
            self._known = {each: its for each, its in self._known.items() if each in intent.networks}
        return self._ids.get(key)
