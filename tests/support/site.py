"""The virtual machines of one kernel: namespaces that are plugged into a node, and probes from inside them.

A :class:`Site` serves every node whose namespaces live in the same kernel: one for the host of the test bed, one in
each User Mode Linux guest, where the test reaches it through :mod:`tests.support.rpc`. So arguments and results are
plain JSON values. Probes need no process inside a VM: sockets are opened in its namespace and stay there.
"""

from __future__ import annotations

import contextlib
import hashlib
import select
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.support import ethernet, netns
from tests.support.listener import Listener

VM_INTERFACE = "eth0"
_ECHO, _NUMBER = struct.Struct("!BBHHH"), struct.Struct("!I")
_BURST, _PAUSE = 4, 0.01
_GRACE, _LATEST = 1.0, 5.0
"""Seconds after the last echo request in which doubled answers are looked for, and those that a late answer has."""

_SO_RCVBUFFORCE, _BUFFER = 33, 4 << 20


@dataclass
class Vm:
    """A namespace with one interface, the other end of which is plugged into a node."""

    name: str
    node: str | None
    device: str
    listener: Listener
    heard: Counter[str] = field(default_factory=Counter)


@dataclass
class Ping:
    """A ping that runs in the background; ``answered`` counts the replies to each sequence number."""

    thread: threading.Thread
    stop: threading.Event
    sent: int = 0
    answered: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


class Site:
    """All VMs of one kernel by name."""

    def __init__(self) -> None:
        self._vms: dict[str, Vm] = {}
        self._pings: dict[str, Ping] = {}
        self._lock = threading.RLock()

    # Life of a VM

    def add_vm(self, name: str, node: str | None, device: str, mac: str, cidrs: list[str], mtu: int) -> None:
        """A namespace ``name`` whose interface is ``device`` in the namespace of ``node`` (None: the root's)."""
        netns.create(name)
        netns.veth((node, device), (name, VM_INTERFACE), mac=mac)
        netns.set_link(name, VM_INTERFACE, up=True, mtu=mtu)
        for cidr in cidrs:
            netns.add_address(name, VM_INTERFACE, cidr)
        with self._lock:
            self._vms[name] = Vm(name, node, device, Listener(name, VM_INTERFACE))

    def remove_vm(self, name: str) -> None:
        """Pull the VM out and forget it."""
        with self._lock:
            vm = self._vms.pop(name)
        vm.listener.close()
        with contextlib.suppress(LookupError):
            netns.delete_link(vm.node, vm.device)
        netns.remove(name)

    def set_link(self, name: str, up: bool) -> None:
        """The VM's interface up or down."""
        netns.set_link(name, VM_INTERFACE, up=up)

    def add_address(self, name: str, cidr: str) -> None:
        """One more address for the VM."""
        netns.add_address(name, VM_INTERFACE, cidr)

    # Frames

    def inject(self, frames: list[tuple[str, str]]) -> None:
        """Send ``(VM, frame in hex)`` pairs, in order and not faster than small receive queues can take."""
        for number, (name, frame) in enumerate(frames, 1):
            self._vms[name].listener.send(bytes.fromhex(frame))
            if number % _BURST == 0:
                time.sleep(_PAUSE)

    def forget(self) -> None:
        """Start hearing anew."""
        with self._lock:
            for vm in self._vms.values():
                vm.listener.frames()
                vm.heard.clear()

    def heard(self) -> dict[str, dict[str, int]]:
        """VM -> frame in hex (:func:`ethernet.trimmed`) -> how often it arrived since :meth:`forget`."""
        with self._lock:
            for vm in self._vms.values():
                vm.heard.update(ethernet.trimmed(frame).hex() for frame in vm.listener.frames())
            return {name: dict(vm.heard) for name, vm in self._vms.items()}

    # Echo

    def echo(self, pairs: list[tuple[str, str]], timeout: float, size: int = 56) -> list[float | None]:
        """Ping each ``(VM, address)`` until it answers: seconds to the answer, None when none came within ``timeout``.

        The kernel of the VM resolves the address by ARP, the kernel of the target answers.
        """
        pairs = [tuple(pair) for pair in pairs]  # JSON has made lists of them
        with contextlib.ExitStack() as stack:
            channels = {name: stack.enter_context(_icmp_socket(name)) for name in {name for name, _ in pairs}}
            return _echo_all(channels, pairs, timeout, size)

    def ping_start(self, key: str, name: str, address: str, rate: float) -> None:
        """Ping ``address`` from a VM ``rate`` times a second in the background."""
        channel, stop = _icmp_socket(name), threading.Event()
        ping = Ping(threading.Thread(target=lambda: _ping(channel, address, rate, ping), daemon=True), stop)
        self._pings[key] = ping
        ping.thread.start()

    def ping_stop(self, key: str) -> dict[str, Any]:
        """End a background ping: ``sent``, ``lost`` sequence numbers, ``duplicates``, ``errors`` of sending."""
        ping = self._pings.pop(key)
        ping.stop.set()
        ping.thread.join()
        lost = [number for number in range(ping.sent) if number not in ping.answered]
        doubled = sum(ping.answered.values()) - len(ping.answered)
        return {"sent": ping.sent, "lost": lost, "duplicates": doubled, "errors": ping.errors}

    # TCP

    def tcp_serve(self, name: str, port: int) -> None:
        """Accept one connection in a VM, read to its end and answer with the SHA-256 of what came."""
        with netns.inside(name):
            server = socket.create_server(("", port))
        threading.Thread(target=_serve_once, args=(server,), daemon=True).start()

    def tcp_send(self, name: str, address: str, port: int, size: int, timeout: float) -> dict[str, Any]:
        """Send ``size`` bytes from a VM to a :meth:`tcp_serve`: ``ok``, ``seconds``, ``error``."""
        data, began = hashlib.sha256(name.encode()).digest() * (size // 32 + 1), time.monotonic()
        try:
            with netns.inside(name):
                channel = socket.socket()
            with channel:
                channel.settimeout(timeout)
                channel.connect((address, port))
                channel.sendall(data)
                channel.shutdown(socket.SHUT_WR)
                answer = channel.recv(32)
        except OSError as error:
            return {"ok": False, "seconds": time.monotonic() - began, "error": str(error)}
        same = answer == hashlib.sha256(data).digest()
        return {"ok": same, "seconds": time.monotonic() - began, "error": "" if same else "the data was damaged"}


def _icmp_socket(name: str) -> socket.socket:
    with netns.inside(name):
        channel = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)  # answers wait while we are not scheduled
    channel.setblocking(False)
    return channel


def _echo_request(identifier: int, number: int, size: int) -> bytes:
    """The number is in the payload too, where it does not wrap; so ``size`` is 4 at least."""
    message = _ECHO.pack(8, 0, 0, identifier, number & 0xFFFF) + _NUMBER.pack(number) + bytes(size - _NUMBER.size)
    return message[:2] + struct.pack("!H", ethernet.checksum(message)) + message[4:]


def _answers(channel: socket.socket, identifier: int) -> list[tuple[str, int]]:
    """``(address, number of the request)`` of the echo replies that wait in the socket."""
    answers = []
    while True:
        try:
            packet, address = channel.recvfrom(65536)
        except BlockingIOError:
            return answers
        except OSError:
            continue
        start = (packet[0] & 0xF) * 4
        kind, _, _, found, _ = _ECHO.unpack_from(packet, start)
        if kind == 0 and found == identifier:
            answers.append((address[0], _NUMBER.unpack_from(packet, start + _ECHO.size)[0]))


def _echo_all(
    channels: dict[str, socket.socket], pairs: list[tuple[str, str]], timeout: float, size: int
) -> list[float | None]:
    began, waiting = time.monotonic(), set(pairs)
    result: dict[tuple[str, str], float] = {}
    next_round, sequence = began, 0
    while waiting and time.monotonic() < began + timeout:
        if time.monotonic() >= next_round:
            next_round, sequence = time.monotonic() + 0.5, sequence + 1
            for name, address in sorted(waiting):
                with contextlib.suppress(OSError):
                    channels[name].sendto(_echo_request(0x1577, sequence, size), (address, 0))
        select.select(list(channels.values()), [], [], 0.05)
        for name, channel in channels.items():
            for address, _ in _answers(channel, 0x1577):
                result.setdefault((name, address), time.monotonic() - began)
                waiting.discard((name, address))
    return [result.get(pair) for pair in pairs]


def _ping(channel: socket.socket, address: str, rate: float, ping: Ping) -> None:
    # A raw socket hears the answers to all pings of its VM; those to another address must not count here.
    identifier, began, stopped = 0x1578, time.monotonic(), None
    with channel:
        while stopped is None or not _over(ping, time.monotonic() - stopped):
            if stopped is None and ping.stop.is_set():
                stopped = time.monotonic()
            due = began + ping.sent / rate
            if stopped is None and time.monotonic() >= due:
                try:
                    channel.sendto(_echo_request(identifier, ping.sent, 56), (address, 0))
                except OSError as error:
                    ping.errors.append(f"{ping.sent}: {error}")
                ping.sent += 1
            select.select([channel], [], [], max(0.001, min(0.05, due - time.monotonic())))
            ping.answered.update(number for whence, number in _answers(channel, identifier) if whence == address)


def _over(ping: Ping, seconds: float) -> bool:
    """Whether nothing more is to be heard so long after the last request."""
    return seconds > (_GRACE if len(ping.answered) == ping.sent else _LATEST)


def _serve_once(server: socket.socket) -> None:
    with server:
        server.settimeout(30)
        try:
            channel, _ = server.accept()
        except OSError:
            return
    digest = hashlib.sha256()
    with channel, contextlib.suppress(OSError):
        channel.settimeout(30)
        while data := channel.recv(65536):
            digest.update(data)
        channel.sendall(digest.digest())
