"""Bring the program of one switch to what it should be: read, compare, apply in order, acknowledge.

With bundles a change is one atomic, ordered bundle: the switch checks it (close), then commits it; when it refuses
any part, nothing of it happens. Groups come before the flows that use them, adds before deletes, groups that nobody
uses any more last, and the stamp belongs to the same bundle. Meters come before it, because Open vSwitch takes none in
bundles, and a meter that no flow uses yet does nothing. What was refused is then left out and the rest is tried again,
so that one bad flow does not hold up the others; the stamp is the hash of what is really there, so that no later
connection takes it for the whole. Without bundles barriers stand between the steps; the stamp is made false before the
first and written after the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice

from controller.dataplane.encoder import (
    ALL_BITS,
    ALL_TABLES,
    FLOW_MOD,
    GROUP_MOD,
    METER_MOD,
    BundleType,
    bundle_adds,
    encode_flow_add,
    encode_match,
)
from controller.dataplane.messages import ErrorMessage
from controller.dataplane.program_delta import between
from controller.dataplane.values import OWNER_SHIFT, OWNER_TAG, Program
from controller.errors import EncodeError, SwitchError
from controller.southbound.changes import (
    Dump,
    Examined,
    Work,
    examine,
    other_spellings,
    reasons,
    repair,
    without,
    work,
)
from controller.southbound.exchange import Exchange, Refusal
from controller.southbound.wire import FlowEntry
from controller.switches import Applied, Rejection
from controller.turns import give_way
from mechanisms.openflow import stamp

ATTEMPTS = 64
"""How often the rest is tried again without what was refused; a switch may name one offender at a time."""

FRESH = 5.0
"""Seconds in which the stamp that a switch showed with its handshake is taken for what it has."""

STAMP, STAMP_MATCH = stamp.stamp_flow(), encode_match(stamp.MATCH)

NOT_SEEN: tuple[float, int | None] = (float("-inf"), None)

PIECE = 1024
"""Messages wrapped and sent at once; while a switch takes them other sessions have their turn."""


class Rejected(SwitchError):
    """The switch refused flows or groups; ``rejections`` says which."""

    def __init__(self, message: str, rejections: tuple[Rejection, ...]) -> None:
        super().__init__(message, next((item.cookie for item in rejections if item.cookie is not None), None))
        self.rejections = rejections


class Applier:
    """What one session knows of its switch's tables. Not thread-safe: the session serialises."""

    def __init__(
        self, exchange: Exchange, bundles: bool, sent: Callable[[int, int, int], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic, meters: bool = False,
    ) -> None:  # fmt: skip
        """``sent`` hears how many flows were added, flows removed and groups changed, taken by the switch or not.
        ``bundles`` and ``meters``: whether the switch has them."""
        self._sent, self._clock = sent, clock
        self.installed: Program | None = None
        """What the switch holds by its own acknowledgement in this session; None: it must be read first."""
        self._exchange = exchange
        self._bundles, self._meters = bundles, meters
        self._version = exchange.version
        self._spelling: dict[int, bytes] = {}
        self._seen = NOT_SEEN
        """When the stamp was read with the handshake, and what it was."""

    def stamp_seen(self, entries: Sequence[FlowEntry]) -> None:
        """What is in the stamp's table just now, to save the question to a switch that is programmed soon."""
        self._seen = (self._clock(), self._stamp_among(entries))

    @property
    def shown(self) -> int | None:
        """The stamp that the switch has shown, if that was of late and nothing was done since."""
        read_at, stamped = self._seen
        return stamped if self.installed is None and self._clock() <= read_at + FRESH else None

    def adopt(self, program: Program) -> Applied | None:
        """See :meth:`controller.switches.Switches.adopt`. Never blocks."""
        return self._adopted(program, self.shown)

    def apply(self, program: Program) -> Applied:
        """See :meth:`controller.switches.Switches.apply`. Raises :class:`SwitchError`."""
        if self.installed is None:
            stamped = self.shown
            if stamped is None:
                stamped = self._read_stamp()
            self._seen = NOT_SEEN
            return self._adopted(program, stamped) or self.audit(program)
        if self.installed.stamp == program.stamp:
            self.installed = program
            return Applied(program.revision)
        old = self.installed
        return self._bring_about(program, lambda target: work(between(old, target), self._version))

    def _adopted(self, program: Program, stamped: int | None) -> Applied | None:
        if stamped is None or stamped != program.stamp:
            return None
        self._seen, self.installed = NOT_SEEN, program
        return Applied(program.revision, adopted=True)

    def audit(self, program: Program) -> Applied:
        """See :meth:`controller.switches.Switches.audit`. Raises :class:`SwitchError`."""
        stamped, found = self._read_stamp(), self._read(program)
        dump, examined = found
        first = repair(dump, examined, program, self._version)
        if not first and stamped == program.stamp:
            self.installed = program
            return Applied(program.revision, foreign_flows=dump.foreign_flows)
        applied = self._bring_about(
            program,
            lambda target: first if target is program else repair(*found, target, self._version),
        )
        if len(examined.sound) + len(examined.forged) < len(dump.flows):
            self._spelling = other_spellings(self._exchange.our_flows(ALL_TABLES), program, self._version)
        return replace(applied, foreign_flows=dump.foreign_flows)

    def _bring_about(self, program: Program, compare: Callable[[Program], Work]) -> Applied:
        """Do the work; what the switch refuses is left out of the next attempt. What is no part of a bundle has been
        done by then, so that the switch is read again."""
        target, refused = program, dict[tuple[int | None, ...], ErrorMessage]()
        for _ in range(ATTEMPTS):
            todo = compare(target)  # a program that cannot be compiled fails here, with nothing sent
            self.installed = None
            errors = self._carry_out(todo, target)
            if not errors:
                break
            refused |= {(error.cookie, error.group_id, error.meter_id): error for error in errors}
            target = self._reduced(target, errors)
            if todo.meters or not self._bundles:
                compare = partial(repair, *self._read(target), version=self._version)
        else:
            outcome = "nothing was changed" if self._bundles else "not everything else is installed"
            raise self._rejected(program, list(refused.values()), f"{outcome}, for there were too many")
        self.installed = target
        if refused:
            raise self._rejected(program, list(refused.values()), "everything else is installed")
        return Applied(program.revision, False, todo.flows_added, todo.flows_removed, todo.groups_changed)

    def _reduced(self, target: Program, errors: Sequence[ErrorMessage]) -> Program:
        smaller = without(target, errors)
        if smaller.stamp == target.stamp:
            raise SwitchError(f"{self._exchange.name} refused a change: {errors[0].text}", errors[0].cookie)
        return smaller

    def _carry_out(self, todo: Work, target: Program) -> list[ErrorMessage]:
        """Send it all and return what the switch refused of it. Raises :class:`SwitchError` for other trouble."""
        self._exchange.take_errors()
        self._seen = NOT_SEEN
        self._sent(todo.flows_added, todo.flows_removed, todo.groups_changed)
        return self._send_meters(todo.meters) or self._change(todo, target) or self._send_meters(todo.meters_gone)

    def _send_meters(self, mods: Sequence[bytes]) -> list[ErrorMessage]:
        if not mods:
            return []
        self._exchange.send(b"".join(mods))
        self._exchange.barrier()
        return self._errors()

    def _change(self, todo: Work, target: Program) -> list[ErrorMessage]:
        steps = [step for step in todo.steps if step]
        if self._bundles:
            return self._send_bundle(chain.from_iterable(steps), target)
        for step in ([self._stamped(target.stamp ^ ALL_BITS)], *steps):
            for piece in _pieces(step):
                self._exchange.send(b"".join(piece))
            self._exchange.barrier()
        errors = self._errors()
        if not errors:
            self._exchange.send(self._stamped(target.stamp))
            self._exchange.barrier()
        return errors or self._errors()

    def _send_bundle(self, messages: Iterable[bytes], target: Program) -> list[ErrorMessage]:
        """The switch takes the first while the last are still being encoded; what cannot be encoded ends it all."""
        exchange = self._exchange
        exchange.open_bundle()
        try:
            for piece in _pieces(messages):
                exchange.send(bundle_adds(exchange.bundle_id, piece, self._version))
            exchange.send(bundle_adds(exchange.bundle_id, [self._stamped(target.stamp)], self._version))
            errors = self._end_bundle(BundleType.CLOSE_REQUEST)
        except (EncodeError, Refusal):
            self._discard_bundle()
            raise
        if errors:
            self._discard_bundle()
            return errors
        return self._end_bundle(BundleType.COMMIT_REQUEST)

    def _end_bundle(self, request: BundleType) -> list[ErrorMessage]:
        """Close or commit it; what was refused of it. Raises :class:`SwitchError` if the switch does not say what."""
        try:
            self._exchange.bundle(request)
        except Refusal:
            errors = self._errors()
            if not errors:
                raise
            return errors
        return self._errors()

    def _discard_bundle(self) -> None:
        """Switches may have thrown away by themselves what they refused."""
        with suppress(Refusal):
            self._exchange.bundle(BundleType.DISCARD_REQUEST)

    def _errors(self) -> list[ErrorMessage]:
        """What the switch refused since the last question; raises SwitchError if it does not say which mod it was."""
        errors = self._exchange.take_errors()
        for error in errors:
            if error.about not in (FLOW_MOD, GROUP_MOD, METER_MOD):
                raise Refusal(f"{self._exchange.name} refused a change: {error.text}", error)
        return errors

    def _rejected(self, program: Program, errors: Sequence[ErrorMessage], outcome: str) -> Rejected:
        rejections = tuple(
            Rejection(error.cookie, error.group_id, error.text, why)
            for error, why in zip(errors, reasons(program, errors), strict=True)
        )
        first = rejections[0]
        what = f"meter {errors[0].meter_id}"
        if first.cookie is not None:
            what = f"flow {first.cookie:#018x}"
        elif first.group_id is not None:
            what = f"group {first.group_id:#010x}"
        more = f" (and {len(rejections) - 1} more)" if len(rejections) > 1 else ""
        purpose = first.why or "of unknown purpose"
        return Rejected(f"{self._exchange.name} refused {what}, {purpose}: {first.error}{more}; {outcome}", rejections)

    def _stamped(self, digest: int) -> bytes:
        return encode_flow_add(STAMP, self._version, cookie=digest)

    def _read_stamp(self) -> int | None:
        """The program hash on the switch; None if there is none, or several flows where one should be."""
        return self._stamp_among(self._exchange.flows(stamp.TABLE))

    def _stamp_among(self, entries: Sequence[FlowEntry]) -> int | None:
        return entries[0].flow.cookie if len(entries) == 1 and self._is_stamp(entries[0]) else None

    def _is_stamp(self, entry: FlowEntry) -> bool:
        return entry.flow.priority == stamp.PRIORITY and entry.flow.match == STAMP_MATCH

    def _read(self, program: Program) -> tuple[Dump, Examined]:
        """What is on the switch, looked at with the program in mind."""
        dump = self._dump()
        return dump, examine(dump.flows, program, self._version, self._spelling)

    def _dump(self) -> Dump:
        entries = self._exchange.flows(ALL_TABLES)
        ours = tuple(entry for entry in entries if _owned(entry) and not self._is_stamp(entry))
        stamps = [entry.flow for entry in entries if self._is_stamp(entry)]
        old_stamps = tuple(flow for flow in stamps if flow.table != stamp.TABLE)
        meters = self._exchange.meters() if self._meters else {}
        foreign = len(entries) - len(ours) - len(stamps)
        return Dump(ours, self._exchange.groups(), foreign, old_stamps, meters)


def _owned(entry: FlowEntry) -> bool:
    return entry.flow.cookie >> OWNER_SHIFT == OWNER_TAG


def _pieces(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Some at a time."""
    rest = iter(messages)
    while piece := list(islice(rest, PIECE)):
        yield piece
        give_way()
